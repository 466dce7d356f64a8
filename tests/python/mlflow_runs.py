"""Scripts that make experiments and runs of their own must land on the trial all the same."""
import os

import mlflow

run_id = os.environ["MLFLOW_RUN_ID"]
mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
mlflow.set_experiment("a name of the script's own")
with mlflow.start_run() as run:
    assert run.info.run_id == run_id
    mlflow.log_metric("acc", 0.1)
    with mlflow.start_run(nested=True, run_name="fold") as child:
        assert child.info.run_id != run_id
        mlflow.log_metric("acc", 0.9)
        mlflow.log_metric("only here", 0.7)
        mlflow.log_text("of the child", "note.txt")
    mlflow.log_metric("acc", 0.2)
with mlflow.start_run() as second:
    assert second.info.run_id == run_id, second.info.run_id
    mlflow.log_metric("acc", 0.3)
mlflow.log_metric("acc", 0.4)
mlflow.end_run("FAILED")
mlflow.log_metric("acc", 0.5)
from mlflow.tracking import MlflowClient

MlflowClient().log_metric("0" * 32, "acc", 0.6)
children = MlflowClient().search_runs(["1"], "tags.mlflow.parentRunId = '%s'" % run_id)
assert [item.info.run_id for item in children] == [child.info.run_id], children
print("runs ok", mlflow.__version__)
