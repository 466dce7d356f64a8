"""The basic calls, as training scripts make them; the same for clients 1.30, 2.22 and 3.x."""
import math
import os

import mlflow
from mlflow.tracking import MlflowClient

run_id = os.environ["MLFLOW_RUN_ID"]
mlflow.log_metric("acc", 0.5)
mlflow.log_metric("acc", 0.6, step=3)
mlflow.log_metrics({"loss": 0.25, "val/loss of all": 0.75}, step=4)
mlflow.log_metric("nan", float("nan"))
mlflow.log_metric("inf", float("inf"))
mlflow.log_metric("minus inf", float("-inf"))
mlflow.log_param("lr", 0.1)
mlflow.log_params({"depth": 3, "kernel": "rbf"})
mlflow.set_tag("stage", "one")
mlflow.set_tags({"a": 1, "b": "two"})
os.makedirs("made", exist_ok=True)
with open("made/with space.txt", "w") as file:
    file.write("hello")
mlflow.log_artifact("made/with space.txt", "sub/folder")
mlflow.log_artifacts("made", "all")
if hasattr(mlflow, "log_text"):
    mlflow.log_text("some text", "notes/a.txt")
    mlflow.log_dict({"k": [1, 2]}, "notes/d.json")
assert mlflow.active_run().info.run_id == run_id

client = MlflowClient()
run = client.get_run(run_id)
assert run.data.params == {"lr": "0.1", "depth": "3", "kernel": "rbf"}, run.data.params
assert run.data.tags["stage"] == "one" and run.data.tags["a"] == "1"
assert run.data.metrics["acc"] == 0.6 and math.isnan(run.data.metrics["nan"]) and run.data.metrics["inf"] == math.inf
history = client.get_metric_history(run_id, "acc")
assert [(point.value, point.step) for point in history] == [(0.5, 0), (0.6, 3)], history
names = [entry.path for entry in client.list_artifacts(run_id)]
assert {"all", "sub", "notes"} <= set(names), names
assert [entry.path for entry in client.list_artifacts(run_id, "sub/folder")] == ["sub/folder/with space.txt"]
local = client.download_artifacts(run_id, "notes/a.txt")
assert open(local).read() == "some text"
found = mlflow.search_runs() if hasattr(mlflow, "pandas_missing") else client.search_runs([run.info.experiment_id])
assert [item.info.run_id for item in found] == [run_id]
mlflow.end_run()
print("basic ok", mlflow.__version__)
