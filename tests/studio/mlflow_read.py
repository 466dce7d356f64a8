"""The real mlflow client reads a finished sweep from the studio: runs, filters, orders, histories, artifacts."""

import sys
import tempfile

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

name, total = sys.argv[1], int(sys.argv[2])
client = MlflowClient()
experiment = client.get_experiment_by_name(name)
assert experiment is not None and experiment.experiment_id in [e.experiment_id for e in client.search_experiments()]
ids = [experiment.experiment_id]


def pages(**options):
    """All runs of a search, five at a time."""
    page = client.search_runs(ids, max_results=5, **options)
    runs = list(page)
    while page.token:
        page = client.search_runs(ids, max_results=5, page_token=page.token, **options)
        runs += list(page)
    return runs


runs = pages()
assert len({run.info.run_id for run in runs}) == total + 1, len(runs)
assert [run.info.start_time for run in runs] == sorted((run.info.start_time for run in runs), reverse=True)
sweeps = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
assert len(sweeps) == 1
sweep = sweeps[0]
parent = f"tags.`mlflow.parentRunId` = '{sweep.info.run_id}'"
trials = client.search_runs(ids, filter_string=parent)
assert len(trials) == total
assert all("Accuracy" in t.data.metrics for t in trials if t.info.status == "FINISHED")


def chosen(filter_string, fits):
    """A filter and its meaning give the same trials."""
    found = {run.info.run_id for run in client.search_runs(ids, filter_string=f"{parent} AND {filter_string}")}
    meant = {run.info.run_id for run in trials if fits(run)}
    assert found == meant, (filter_string, found, meant)
    return len(found)


middle = sorted(t.data.metrics["Accuracy"] for t in trials if "Accuracy" in t.data.metrics)[total // 3]
assert 0 < chosen(f"metrics.Accuracy > {middle!r}", lambda r: r.data.metrics.get("Accuracy", -1) > middle) < total
chosen(f"metrics.Accuracy >= {middle!r} AND metrics.Accuracy != {middle!r}", lambda r: r.data.metrics.get("Accuracy", -1) > middle)
assert 0 < chosen("params.`--opt` = 'adam'", lambda r: r.data.params["--opt"] == "adam") < total
assert 0 < chosen("params.`--width` != '32'", lambda r: r.data.params["--width"] != "32")
chosen("params.`--opt` LIKE 'ad%'", lambda r: r.data.params["--opt"] == "adam")
chosen("attributes.status = 'FINISHED'", lambda r: r.info.status == "FINISHED")
chosen("attributes.status = 'KILLED'", lambda r: r.info.status == "KILLED")
chosen("tags.overdrive.state ILIKE 'comp%'", lambda r: r.info.status == "FINISHED")
one = trials[3].info.run_id
assert chosen(f"run_id IN ('{one}')", lambda r: r.info.run_id == one) == 1
assert chosen(f"attributes.start_time >= {trials[0].info.start_time}", lambda r: r.info.start_time >= trials[0].info.start_time) > 0
down = pages(filter_string=parent, order_by=["metrics.Accuracy DESC"])
values = [run.data.metrics["Accuracy"] for run in down if "Accuracy" in run.data.metrics]
assert len(down) == total and values == sorted(values, reverse=True), values
assert client.search_runs(ids, run_view_type=ViewType.DELETED_ONLY) == []
try:
    client.search_runs(ids, filter_string="metrics.Accuracy ~ 3")
    raise SystemExit("a filter that cannot be read was not refused")
except MlflowException as error:
    assert "not understood" in str(error) or "Invalid" in str(error), error

best = max((t for t in trials if "Accuracy" in t.data.metrics), key=lambda t: max(p.value for p in client.get_metric_history(t.info.run_id, "Accuracy")))
assert best.data.params == dict(sweep.data.params), (best.data.params, sweep.data.params)
run = client.get_run(best.info.run_id)
history = client.get_metric_history(run.info.run_id, "Accuracy")
assert run.info.status == "FINISHED" and len(history) == 20 and [p.step for p in history] == list(range(20))
assert history[-1].value == run.data.metrics["Accuracy"]
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
print("  ok  mlflow reads experiments, runs, filters, orders, histories, artifacts; writes are refused")
