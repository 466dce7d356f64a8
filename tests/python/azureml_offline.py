"""Outside of a trial the stand-in prints, exactly as azureml-core does."""
from azureml.core.run import Run, _OfflineRun
from azureml.exceptions import RunEnvironmentException

run = Run.get_context()
assert type(run) == _OfflineRun and run.id.startswith("OfflineRun_") and not hasattr(run, "experiment")
run.log("acc", 0.5)
run.log_row("row", x=1)
run.tag("a", "b")
try:
    run.log("acc", 0.5, step=1)
except TypeError:
    pass
else:
    raise AssertionError("the offline run knows no step")
try:
    Run.get_context(allow_offline=False)
except RunEnvironmentException:
    pass
else:
    raise AssertionError("offline was not allowed")
