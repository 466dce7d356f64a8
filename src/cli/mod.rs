//! The command line: arguments, commands, terminal, exit codes.
