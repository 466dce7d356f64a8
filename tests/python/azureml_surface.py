"""An unchanged script in the old style; every assertion is about what azureml-core documents."""
import os
import sys

mode = sys.argv[1]
from azureml.core import Run
from azureml.core.run import Run as SameRun, _OfflineRun
from azureml.exceptions import UserErrorException
import azureml.core

assert Run is SameRun
real = "_overdrive" not in azureml.core.__file__
assert real == (mode == "real"), azureml.core.__file__

run = Run.get_context(allow_offline=False)
assert run is Run.get_context()
assert isinstance(run, Run) and not isinstance(run, _OfflineRun) and type(run) != _OfflineRun
assert run.id == os.environ["AZUREML_RUN_ID"] and not run.id.startswith("OfflineRun")
assert hasattr(run, "experiment") and run.experiment.name == "shim experiment"
assert run.parent.id == "HD_7"
assert run.experiment.workspace.get_mlflow_tracking_uri() == os.environ.get("MLFLOW_TRACKING_URI", "")
assert run.input_datasets["training"] == os.environ["training"] == os.environ["OVERDRIVE_TEST_DATA"]
assert run.input_datasets["asked"].to_path() == ["/rows.csv"], "consumed directly: a dataset, not a path"
assert run.experiment.workspace.datasets["training"].to_path() == ["/rows.csv"]

run.log("Final test accuracy", 0.5, step=1)
run.log("Final test accuracy", 0.75, step=2)
run.log("Kernel type", "rbf")
run.log("not a number", float("nan"))
run.log("up", float("inf"))
run.log("down", float("-inf"))
run.log("flag", True)
run.log("nothing", None)
run.log("text number", "0.25")
try:
    import numpy
except ImportError:
    numpy = None
if numpy is not None:
    run.log("np32", numpy.float32(0.5))
    run.log("np64i", numpy.int64(7))
    run.log("zero d", numpy.array(1.5))


class Tensor(object):
    """Like a torch tensor of no dimension."""

    def item(self):
        return 2.5


run.log("tensor", Tensor())
for wrong in ([1, 2], range(3), (x for x in "a"), (lambda: (yield 1))):
    try:
        run.log("many", wrong)
    except UserErrorException as error:
        assert "log_list" in str(error)
    else:
        raise AssertionError("run.log took " + repr(wrong))

run.log_list("curve", [3, 2.0, 1.0])
run.log_list("empty", [])
run.log_row("rows", x=1, y=0.5)
run.log_row("rows", x=2, y=0.25)
try:
    run.log_row("rows", x=[1])
except UserErrorException:
    pass
else:
    raise AssertionError("a list in a row")
run.log_table("table", {"a": [1, 2], "score": [0.1, 0.2]})
run.log_table("table0", {})
try:
    run.log_table("uneven", {"a": [1, 2], "b": 3})
except UserErrorException:
    pass
else:
    raise AssertionError("columns of unequal length")

with open("dot.png", "wb") as file:
    file.write(b"\x89PNG\r\n\x1a\n" + b"0" * 20)
with open("dot.txt", "w") as file:
    file.write("no picture")
run.log_image("dot", path="dot.png")


class Plot(object):
    def savefig(self, target, **kwargs):
        target.write(b"\x89PNG\r\n\x1a\nplot")


run.log_image("plot", plot=Plot())
for wrong in ({"path": "dot.txt"}, {}, {"path": "dot.png", "plot": Plot()}):
    try:
        run.log_image("bad", **wrong)
    except Exception as error:
        assert type(error).__name__ == "AzureMLException", type(error)
    else:
        raise AssertionError(wrong)
matrix = {"schema_type": "confusion_matrix", "schema_version": "1.0.0",
          "data": {"class_labels": ["0", "1"], "matrix": [[3, 1], [0, 4]]}}
run.log_confusion_matrix("matrix", matrix)
try:
    run.log_accuracy_table("wrong schema", matrix)
except Exception:
    pass
else:
    raise AssertionError("wrong schema accepted")

run.tag("stage", "one")
run.set_tags({"kind": "svm", "n": 3})
run.remove_tags(["kind"])
assert run.get_tags() == {"stage": "one", "n": "3"} == run.tags, run.tags
run.add_properties({"p": "q"})
assert run.properties == {"p": "q"}
try:
    run.add_properties({"p": "other"})
except Exception:
    pass
else:
    raise AssertionError("properties cannot change")

metrics = run.get_metrics()
assert metrics["Final test accuracy"] == [0.5, 0.75] and metrics["Kernel type"] == "rbf", metrics
assert metrics["curve"] == [3, 2.0, 1.0] and "empty" not in metrics and metrics["flag"] is True
assert metrics["not a number"] != metrics["not a number"] and metrics["up"] == float("inf")
assert metrics["text number"] == "0.25" and metrics["nothing"] is None
assert metrics["rows"] == {"x": [1, 2], "y": [0.5, 0.25]}, metrics["rows"]
assert metrics["table"] == {"a": [1, 2], "score": [0.1, 0.2]}
assert run.get_metrics(name="curve") == {"curve": [3, 2.0, 1.0]}

run.upload_file("outputs/dot.txt", "dot.txt")
run.upload_files(["a/1.txt", "a/2.txt"], ["dot.txt", "dot.txt"])
try:
    run.upload_files(["one"], [])
except TypeError:
    pass
else:
    raise AssertionError("names and paths of unequal length")
for outside in ("../evil.txt", "a/../../evil.txt"):
    try:
        run.upload_file(outside, "dot.txt")
    except UserErrorException:
        pass
    else:
        raise AssertionError("left the folder")
os.makedirs("folder/sub", exist_ok=True)
with open("folder/sub/x.bin", "wb") as file:
    file.write(b"\0\1")
run.upload_folder("kept", "folder")
names = run.get_file_names()
assert {"outputs/dot.txt", "a/1.txt", "a/2.txt", "kept/sub/x.bin", "dot.png", "matrix"} <= set(names), names
run.download_file("kept/sub/x.bin", "back.bin")
assert open("back.bin", "rb").read() == b"\0\1"

try:
    run.register_model("svm", "never/uploaded.pkl")
except Exception as error:
    assert type(error).__name__ == "ModelPathNotFoundException", type(error)
else:
    raise AssertionError("registered what was not uploaded")
model = run.register_model("svm", "outputs/dot.txt", tags={"t": 1})
again = run.register_model("svm", "outputs/dot.txt")
assert (model.name, model.version, model.id, again.version) == ("svm", 1, "svm:1", 2)
assert open(model.path).read() == "no picture" and model.tags == {"t": "1"}

child = run.child_run(name="fold")
child.log("accuracy", 0.1)
assert child.parent is run and child.id != run.id
assert [inner.id for inner in run.get_children()] == [child.id]
assert run.get_metrics(recursive=True)[child.id] == {"accuracy": 0.1}
assert "accuracy" not in run.get_metrics()
assert len(run.create_children(tag_key="k", tag_values=["x", "y"])) == 2
run.parent.log("from below", 1.5)
run.parent.tag("best", "maybe")
assert run.parent.get_tags() == {"best": "maybe"} and "best" not in run.get_tags()
assert run.parent.get_metrics() == {"from below": 1.5}

details = run.get_details()
assert details["runId"] == run.id and details["runDefinition"]["script"] == "azureml_surface.py", details
assert run.get_status() == "Running" == run.status
os.environ["OVERDRIVE_SECRET_key"] = "hush"
assert run.get_secret("key") == "hush"
run.display_name = "nice"
assert run.display_name == "nice"
run.log("long", "x" * 10000)
assert run.get_metrics()["long"] == "x" * 10000
try:
    run.take_snapshot(".")
except NotImplementedError as error:
    assert "take_snapshot" in str(error)
with run as same:
    assert same is run
run.flush()
run.fail("boom", "7")
run.complete()
run.log("after complete", 1)

from azureml.core import get_run

assert get_run(run.experiment, run.id) is run and Run.get(run.experiment.workspace, run.id) is run
assert get_run(run.experiment, child.id).id == child.id and Run.get(run.experiment.workspace, "HD_7").id == "HD_7"
try:
    get_run(run.experiment, "HD_8_0")
except NotImplementedError as error:
    assert "HD_8_0 is not visible" in str(error)
else:
    raise AssertionError("a run of another sweep")

if not real:
    from azureml.core import Dataset, Datastore, Environment, Experiment, Model, Workspace
    from azureml.core.model import Model as M2
    from azureml.core.dataset import Dataset as D2
    import azureml.core.workspace, azureml.core.experiment, azureml.core.datastore, azureml.core.environment, azureml.data

    workspace = Workspace.from_config()
    assert workspace.name == "overdrive-local" and workspace.location == "local"
    assert workspace.get_details()["resourceGroup"] == "local"
    assert M2 is Model and D2 is Dataset and Model.get_model_path("svm") == again.path
    found = Dataset.get_by_name(workspace, "training")
    with found.mount() as mount:
        assert os.path.isfile(os.path.join(mount.mount_point, "rows.csv"))
    assert found.download("copied") == [os.path.join("copied", "rows.csv")]
    store = Datastore.get(workspace, "blob")
    store.upload("folder", "there")
    assert store.download("restored") == 1
else:
    import azureml.data
    from azureml.core import Dataset, Datastore, Model, Workspace
    from azureml.core.dataset import Dataset as D2

    assert "_overdrive" not in azureml.data.__file__
    # The real classes, asked with the workspace of the trial.
    workspace = run.experiment.workspace
    assert not isinstance(workspace, Workspace) and D2 is Dataset
    assert Dataset.get_by_name(workspace, "training").to_path() == ["/rows.csv"]
    assert Dataset.get_by_name(workspace, name="training", version=1).name == "training"
    assert "training" in Dataset.get_all(workspace)
    assert Model.get_model_path("svm") == again.path == Model(workspace, "svm").path
    third = Model.register(workspace, model_path="dot.txt", model_name="svm")
    assert third.version == 3 and len(Model.list(workspace, name="svm")) == 3
    store = Datastore.get(workspace, "blob")
    store.upload("folder", "there")
    assert store.download("restored") == 1
    assert Datastore(workspace, "blob").name == "blob" and Datastore.get_default(workspace).name == "workspaceblobstore"
print("surface ok")
