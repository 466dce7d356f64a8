"""The run that a script gets from `Run.get_context()`: looks online, writes to the report file, keeps files in `artifacts/`."""
import io
import json
import os
import sys
import threading
import time
import uuid

from azureml._overdrive import objects
from azureml._overdrive.artifacts import Artifacts, beneath
from azureml._overdrive.report import Ledger, number
from azureml._overdrive.values import looks_like_image, problem, refuse_collections, scalar

CHANNEL = "azureml"
_lock = threading.Lock()
_current = {}


def armed():
    """Whether this process belongs to a trial of overdrive."""
    return bool(os.environ.get("OVERDRIVE_REPORT"))


def current(trial_class):
    """The one trial object of this process."""
    with _lock:
        if trial_class not in _current:
            _current[trial_class] = trial_class._make(_trial_id(), _main_ledger(), _artifacts(), parent_id=_sweep_id())
        return _current[trial_class]


def visible(run, run_id):
    """The trial, its sweep or one of its children by id; no other run can be seen from here."""
    if run_id == run.id:
        return run
    if run.parent is not None and run_id == run.parent.id:
        return run.parent
    for child in run.get_children(recursive=True):
        if child.id == run_id:
            return child
    raise NotImplementedError("run {} is not visible from inside trial {}".format(run_id, run.id))


def _trial_id():
    return os.environ.get("AZUREML_RUN_ID") or os.environ.get("OVERDRIVE_RUN_ID") or "local_0"


def _sweep_id():
    known = os.environ.get("OVERDRIVE_SWEEP")
    if known:
        return known
    head, _, tail = _trial_id().rpartition("_")
    return head if head and tail.isdigit() else None


def _main_ledger():
    return Ledger(os.path.abspath(os.environ["OVERDRIVE_REPORT"]))


def _artifacts():
    known = os.environ.get("OVERDRIVE_ARTIFACTS")
    return os.path.abspath(known or os.path.join(os.path.dirname(_main_ledger().path), "artifacts"))


def of_rank(name):
    """The name under which a process of a trial of several logs: only what the first one logs counts as `name`."""
    rank, world = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if rank.isdigit() and world.isdigit() and int(world) > 1 and int(rank) > 0:
        return "{}/rank_{}".format(name, int(rank))
    return name


class Trial(Artifacts):
    """Everything that an online run of azureml-core offers to a training script."""

    def __init__(self, experiment=None, run_id=None, outputs=None, **kwargs):
        self._init(run_id or _trial_id(), _main_ledger(), _artifacts(), _sweep_id())

    @classmethod
    def _make(cls, run_id, ledger, artifacts, parent_id=None, parent=None, name=None):
        made = cls.__new__(cls)
        made._init(run_id, ledger, artifacts, parent_id, parent, name)
        return made

    def _init(self, run_id, ledger, artifacts, parent_id=None, parent=None, name=None):
        self._od_id = run_id
        self._od_ledger = ledger
        self._od_artifacts = artifacts
        self._od_parent_id = parent_id
        self._od_parent = parent
        self._od_name = name
        self._od_facts = {"tag": "tag", "property": "property", "metric": None}
        self._od_children = 0

    def __repr__(self):
        return "Run(Experiment: {},\nId: {},\nType: {},\nStatus: {})".format(
            self.experiment.name, self.id, self.type, self.get_status())

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError("{!r} object has no attribute {!r}".format(type(self).__name__, name))
        raise AttributeError("overdrive's run has no attribute {!r}".format(name))

    def __eq__(self, other):
        return isinstance(other, Trial) and other.id == self.id

    def __hash__(self):
        return hash(self._od_id)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if value is not None:
            self.fail(error_details=value)
        else:
            self.complete()

    # Identity.

    id = property(lambda self: self._od_id)
    run_id = property(lambda self: self._od_id)
    _run_id = property(lambda self: self._od_id)
    name = property(lambda self: self.display_name)
    identity = property(lambda self: self._od_id)
    type = property(lambda self: "azureml.scriptrun")
    status = property(lambda self: self.get_status())
    experiment = property(lambda self: objects.Experiment(objects.workspace(), objects.experiment_name()))

    @property
    def number(self):
        """Number of the trial, from 1."""
        tail = self._od_id.rpartition("_")[2]
        return int(tail) + 1 if tail.isdigit() else 1

    @property
    def display_name(self):
        """Shown name; can be set."""
        return self._fold("display_name").get("display_name", self._od_name or self._od_id)

    @display_name.setter
    def display_name(self, value):
        self._fact("display_name", "display_name", value)

    @property
    def description(self):
        """Free text; can be set."""
        return self._fold("description").get("description")

    @description.setter
    def description(self, value):
        self._fact("description", "description", value)

    @property
    def parent(self):
        """The sweep for a trial, the trial for its child."""
        if self._od_parent is not None:
            return self._od_parent
        if self._od_parent_id is None:
            return None
        return Sweep._make(self._od_parent_id, self._od_ledger, self._od_artifacts)

    @property
    def input_datasets(self):
        """Inputs by name: paths, or dataset objects for mode `direct`."""
        return objects.input_datasets()

    @property
    def output_datasets(self):
        """Output folders by name."""
        return objects.output_datasets()

    # Writing.

    def _write(self, record):
        record["channel"] = CHANNEL
        self._od_ledger.append(record)

    def _fact(self, kind, key, value):
        self._write({"fact": self._od_facts.get(kind) or kind, "key": str(key), "value": _text(value)})

    def _point(self, name, value, step=None):
        value = scalar(name, value)
        name = of_rank(str(name))
        record = {"name": name, "value": value, "channel": CHANNEL}
        if isinstance(value, bool):
            record.update(value=int(value), kind="bool")
        elif isinstance(value, str):
            try:
                record.update(value=float(value), text=value)
            except ValueError:
                return {"fact": "value", "key": name, "value": value, "channel": CHANNEL}
        elif value is None:
            return {"fact": "value", "key": name, "value": "None", "kind": "none", "channel": CHANNEL}
        if step is not None:
            try:
                record["step"] = int(step)
            except (TypeError, ValueError):
                raise problem("UserErrorException", "step {!r} of metric {} is no integer".format(step, name))
        return record

    def log(self, name, value, description="", step=None):
        """One point."""
        refuse_collections(name, value)
        self._od_ledger.append(self._point(name, value, step))

    def log_list(self, name, value, description=""):
        """A point for each element, in order."""
        self._od_ledger.append(*[self._point(name, item) for item in list(value)])

    def log_row(self, name, description=None, **kwargs):
        """One row of a table; the keywords are its columns."""
        for column, value in kwargs.items():
            if isinstance(value, (list, tuple, dict)):
                raise problem("UserErrorException", "column {} of row {} is no scalar".format(column, name))
        self._rows(name, [{column: scalar(column, value) for column, value in kwargs.items()}])

    def log_table(self, name, value, description=""):
        """Rows from columns of equal length."""
        if not isinstance(value, dict):
            raise problem("UserErrorException", "table {} must be a dict of columns".format(name))
        columns = {
            column: [scalar(column, item) for item in (items if isinstance(items, (list, tuple)) else [items])]
            for column, items in value.items()
        }
        if len({len(items) for items in columns.values()}) > 1:
            raise problem("UserErrorException", "columns of table {} differ in length".format(name))
        length = len(next(iter(columns.values()))) if columns else 0
        self._rows(name, [{column: columns[column][at] for column in columns} for at in range(length)])

    def _rows(self, name, rows):
        if not rows:
            return
        safe, target = beneath(os.path.join(self._od_artifacts, "tables"), str(name).replace("/", "_") + ".jsonl")
        new = not os.path.exists(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Ledger(target).append(*rows)
        if new:
            self._artifact("table", name, target)
        primary = os.environ.get("OVERDRIVE_PRIMARY_METRIC")
        for row in rows:
            for column, value in row.items():
                for wanted in (column, "{}.{}".format(name, column)):
                    if wanted == primary:
                        record = self._point(wanted, value)
                        record["table"] = str(name)
                        self._od_ledger.append(record)

    def log_image(self, name, path=None, plot=None, description=""):
        """A picture, from a file or from an object with `savefig`."""
        if (path is None) == (plot is None):
            raise problem("AzureMLException", "log_image takes either a path or a plot")
        if plot is not None:
            if not hasattr(plot, "savefig"):
                raise problem("AzureMLException", "plot of image {} has no savefig".format(name))
            stream = io.BytesIO()
            plot.savefig(stream, format="png")
            stream.seek(0)
            self._store("image", "{}_{}.png".format(name, int(time.time())), stream)
            return
        with io.open(path, "rb") as file:
            if not looks_like_image(file.read(512)):
                raise problem("AzureMLException", "file {} of image {} is no picture".format(path, name))
        relative = os.path.relpath(str(path)) if os.path.isabs(str(path)) else str(path)
        inside = relative if ".." not in relative.split(os.sep) else os.path.basename(relative)
        self._store("image", inside, path)

    def _document(self, name, value, schema):
        try:
            content = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise problem("UserErrorException", "value of {} is no JSON text".format(name))
        if not isinstance(content, dict) or not {"schema_type", "schema_version", "data"} <= set(content):
            raise problem("UserErrorException", "value of {} needs schema_type, schema_version and data".format(name))
        if content["schema_type"] != schema:
            raise problem("UserErrorException", "schema_type of {} must be {}".format(name, schema))
        text = json.dumps(content, default=lambda item: item.tolist() if hasattr(item, "tolist") else repr(item))
        self._store("file", name, io.BytesIO(text.encode("utf-8")))

    def log_confusion_matrix(self, name, value, description=""):
        """A confusion matrix as JSON document."""
        self._document(name, value, "confusion_matrix")

    def log_accuracy_table(self, name, value, description=""):
        """An accuracy table as JSON document."""
        self._document(name, value, "accuracy_table")

    def log_residuals(self, name, value, description=""):
        """Residuals as JSON document."""
        self._document(name, value, "residuals")

    def log_predictions(self, name, value, description=""):
        """Predictions as JSON document."""
        self._document(name, value, "predictions")

    # Tags and properties.

    def _fold(self, kind):
        wanted = self._od_facts.get(kind) or kind
        found = {}
        for record in self._od_ledger.read():
            if record.get("channel") != CHANNEL:
                continue
            if record.get("fact") == wanted:
                found[record.get("key")] = record.get("value")
            elif record.get("fact") == wanted + "_removed":
                found.pop(record.get("key"), None)
        return found

    tags = property(lambda self: self.get_tags())
    properties = property(lambda self: self.get_properties())

    def tag(self, key, value=None):
        """Sets a tag."""
        self._fact("tag", key, "" if value is None else value)

    def set_tags(self, tags):
        """Sets several tags, from a dict or one word."""
        for key, value in (tags if isinstance(tags, dict) else {tags: ""}).items():
            self.tag(key, value)

    def get_tags(self):
        """All tags."""
        return self._fold("tag")

    def remove_tags(self, tags):
        """Removes tags by key."""
        for key in [tags] if isinstance(tags, str) else list(tags):
            self._write({"fact": (self._od_facts.get("tag") or "tag") + "_removed", "key": str(key), "value": ""})
        return self.get_tags()

    def add_properties(self, properties):
        """Sets properties; one that is there already cannot change."""
        present = self.get_properties()
        for key, value in (properties or {}).items():
            if str(key) in present and present[str(key)] != _text(value):
                raise problem("UserErrorException", "property {} is set already".format(key))
        for key, value in (properties or {}).items():
            self._fact("property", key, value)

    def get_properties(self):
        """All properties."""
        return self._fold("property")

    # Reading metrics.

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        """What was logged through this run, by any process of the trial: a value, or a list when there are several."""
        found = {}
        for record in self._od_ledger.read():
            if record.get("channel") != CHANNEL or record.get("table"):
                continue
            if self._od_facts["metric"] is not None:
                if record.get("fact") == self._od_facts["metric"]:
                    found.setdefault(record["key"], []).append(_reread(record["value"]))
            elif "name" in record and "value" in record and "artifact" not in record:
                value = number(record["value"])
                value = record["text"] if "text" in record else bool(value) if record.get("kind") == "bool" else value
                found.setdefault(record["name"], []).append(value)
            elif record.get("fact") == "value":
                found.setdefault(record["key"], []).append(None if record.get("kind") == "none" else record["value"])
            elif record.get("artifact") == "table":
                columns = {}
                path = os.path.join(os.path.dirname(self._od_artifacts.rstrip("/")), record["path"])
                for row in Ledger(path).read():
                    for column, value in row.items():
                        columns.setdefault(column, []).append(number(value))
                found[record["name"]] = [{key: _one(values) for key, values in columns.items()}]
        result = {key: _one(values) for key, values in found.items() if name is None or key == name}
        if recursive:
            result = {self.id: result}
            for child in self.get_children(recursive=True):
                result.update(child.get_metrics(name=name, recursive=True))
        return result

    # State.

    def start(self):
        """Nothing: the trial is running."""

    def flush(self, timeout_seconds=300):
        """Nothing: every call is written at once."""

    def complete(self, _set_status=True):
        """Nothing: the exit code tells how the trial ended."""

    def fail(self, error_details=None, error_code=None, _set_status=True):
        """Records the error; the exit code tells how the trial ended."""
        self._fact("status", "error", "{}{}".format("" if error_code is None else "{}: ".format(error_code), error_details))

    def cancel(self):
        """Only warns."""
        sys.stderr.write("overdrive: cancel() of a trial from inside is ignored, end the script instead\n")

    def get_status(self):
        """`Running`."""
        return "Running"

    def get_detailed_status(self):
        """State as dict."""
        return {"status": "Running", "statusDetails": [], "status_details": []}

    def wait_for_completion(self, show_output=False, wait_post_processing=False, raise_on_error=True):
        """Returns at once: a script cannot wait for its own end."""
        return self.get_details()

    def get_details(self):
        """What is known of the trial, in the old form."""
        script = os.path.basename(getattr(sys.modules.get("__main__"), "__file__", "") or "")
        return {
            "runId": self.id, "target": "local", "status": "Running",
            "startTimeUtc": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()), "endTimeUtc": None,
            "properties": self.get_properties(), "inputDatasets": [], "outputDatasets": [],
            "runDefinition": {"script": script, "arguments": sys.argv[1:], "target": "local"},
            "logFiles": {}, "submittedBy": os.environ.get("USER", ""),
        }

    def get_details_with_logs(self):
        """The same."""
        return self.get_details()

    def get_environment(self):
        """Environment stand-in."""
        return objects.Environment("overdrive-local")

    def get_portal_url(self):
        """There is no portal."""
        return ""

    def get_secret(self, name):
        """From variable `OVERDRIVE_SECRET_<name>`."""
        return objects.secret(name)

    def get_secrets(self, secrets):
        """Several."""
        return {name: self.get_secret(name) for name in secrets}

    # Children.

    def child_run(self, name=None, run_id=None, outputs=None):
        """A child with metrics and files of its own; they do not count for the trial."""
        child = run_id or "{}_{}".format(self.id, uuid.uuid4().hex[:8])
        return self._child(child, name, announce=True)

    def _child(self, child, name=None, announce=False):
        safe = child.replace("/", "_")
        folder = os.path.join(_main_ledger().path + ".d", "children")
        os.makedirs(folder, exist_ok=True)
        if announce:
            self._fact("child", child, name or child)
        return type(self)._make(child, Ledger(os.path.join(folder, safe + ".jsonl")),
                                os.path.join(_artifacts(), "children", safe), parent=self, name=name)

    def create_children(self, count=None, tag_key=None, tag_values=None):
        """Several children, each with its tag."""
        values = list(tag_values or [])
        total = count if count is not None else len(values)
        if (count is not None and values) or not 0 < total <= 100:
            raise problem("UserErrorException", "create_children takes a count or tag_values, at most 100")
        children = []
        for at in range(total):
            child = self.child_run()
            if tag_key is not None:
                child.tag(tag_key, values[at] if values else str(at))
            children.append(child)
        return children

    def get_children(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True):
        """Children, newest first."""
        known = self._fold("child")
        for key in reversed(list(known)):
            child = self._child(key, known[key])
            wanted = tags if isinstance(tags, dict) else {tags: None} if tags else {}
            have = child.get_tags()
            if all(key in have and value in (None, have[key]) for key, value in wanted.items()):
                yield child
            if recursive:
                for inner in child.get_children(recursive=True, tags=tags):
                    yield inner

    # What a local trial cannot do.

    def _cannot(self, what):
        raise NotImplementedError("{} has no meaning inside a trial of overdrive".format(what))

    def take_snapshot(self, *args, **kwargs):
        """Not possible."""
        self._cannot("take_snapshot")

    def restore_snapshot(self, *args, **kwargs):
        """Not possible."""
        self._cannot("restore_snapshot")

    def get_snapshot_id(self, *args, **kwargs):
        """Not possible."""
        self._cannot("get_snapshot_id")

    def submit_child(self, *args, **kwargs):
        """Not possible."""
        self._cannot("submit_child")

    def get_all_logs(self, *args, **kwargs):
        """No log can be downloaded from inside."""
        return []

    def clean(self, *args, **kwargs):
        """Nothing to clean."""
        return []


class Sweep(Trial):
    """The parent of a trial: what is logged on it is told to the sweep."""

    def _init(self, run_id, ledger, artifacts, parent_id=None, parent=None, name=None):
        super(Sweep, self)._init(run_id, ledger, artifacts)
        self._od_facts = {kind: "sweep_" + kind for kind in
                          ("tag", "property", "metric", "display_name", "description", "status", "child")}

    type = property(lambda self: "hyperdrive")

    def _point(self, name, value, step=None):
        value = scalar(name, value)
        return {"fact": "sweep_metric", "key": str(name), "value": json.dumps(value), "channel": CHANNEL}

    def cancel(self):
        """Asks for an end of the whole sweep; told to the engine as a fact."""
        self._fact("status", "cancel", "requested")

    def get_children(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True):
        """The trial itself; the others are not visible from here."""
        yield Trial._make(_trial_id(), _main_ledger(), _artifacts(), parent_id=self._od_id)


def _text(value):
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _reread(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def _one(values):
    return values[0] if len(values) == 1 else values
