"""What both forms of the shim share: the report file, the trial's run object and the objects reached from it."""
