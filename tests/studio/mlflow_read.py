"""The real mlflow client reads a finished sweep from the studio."""

import sys
import tempfile

from mlflow.tracking import MlflowClient

name, total = sys.argv[1], int(sys.argv[2])
client = MlflowClient()
experiment = client.get_experiment_by_name(name)
assert experiment is not None and experiment.experiment_id in [e.experiment_id for e in client.search_experiments()]
first = client.search_runs([experiment.experiment_id], max_results=5)
assert len(first) == 5 and first.token
runs, token = list(first), first.token
while token:
    page = client.search_runs([experiment.experiment_id], max_results=5, page_token=token)
    runs, token = runs + list(page), page.token
assert len({run.info.run_id for run in runs}) == total + 1, len(runs)
sweep = runs[0]
trials = client.search_runs([experiment.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{sweep.info.run_id}'")
assert len(trials) == total
best = max((t for t in trials if "Accuracy" in t.data.metrics), key=lambda t: max(p.value for p in client.get_metric_history(t.info.run_id, "Accuracy")))
assert best.data.params == {k: v for k, v in sweep.data.params.items()}, (best.data.params, sweep.data.params)
run = client.get_run(best.info.run_id)
history = client.get_metric_history(run.info.run_id, "Accuracy")
assert run.info.status == "FINISHED" and len(history) == 20 and [p.step for p in history] == list(range(20))
assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["outputs"]
assert [(f.path, f.is_dir) for f in client.list_artifacts(run.info.run_id, "outputs")] == [("outputs/table.csv", False)]
with tempfile.TemporaryDirectory() as folder:
    text = open(client.download_artifacts(run.info.run_id, "outputs/table.csv", folder)).read()
assert text.startswith("name,value"), text
try:
    client.log_metric(run.info.run_id, "x", 1)
    raise SystemExit("a write was not refused")
except Exception as error:
    assert "Exception" in type(error).__name__, error
print("  ok  mlflow reads experiments, runs, histories, artifacts; writes are refused")
