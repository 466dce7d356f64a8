"""Objects reached from a run: workspace, experiment, datasets, datastores, models, environments; all of them local."""
import io
import json
import os
import shutil
import time

from azureml._overdrive.values import problem

ZERO = "00000000-0000-0000-0000-000000000000"


def experiment_name():
    """Name of the experiment that the trial belongs to."""
    return os.environ.get("AZUREML_ARM_PROJECT_NAME") or os.environ.get("OVERDRIVE_EXPERIMENT") or "local"


def workspace():
    """The one workspace there is."""
    return Workspace(ZERO, "local", "overdrive-local")


def secret(name):
    """A secret from the environment."""
    value = os.environ.get("OVERDRIVE_SECRET_" + name)
    if value is None:
        raise problem("UserErrorException", "secret {0} is not set: export OVERDRIVE_SECRET_{0}".format(name))
    return value


def _inputs():
    """Data map: name -> path."""
    try:
        known = json.loads(os.environ.get("OVERDRIVE_INPUTS") or "{}")
    except ValueError:
        known = {}
    return known if isinstance(known, dict) else {}


def input_datasets():
    """What `run.input_datasets` holds."""
    found = dict(_inputs())
    for entry in (os.environ.get("AZUREML_DATASET_ENVIRONMENT_VARS") or "").split(","):
        name, _, mode = entry.partition(":")
        value = os.environ.get(name, os.environ.get(name.upper())) if name else None
        if value is not None:
            found[name] = FileDataset(value, name) if mode == "direct" else value
    return found


def output_datasets():
    """What `run.output_datasets` holds."""
    names = [name for name in (os.environ.get("AZUREML_DATASET_FILE_OUTPUTS") or "").split(";") if name]
    return {name: os.environ[name] for name in names if name in os.environ}


class Workspace(object):
    """Stand-in for the workspace."""

    DEFAULT_CPU_CLUSTER_CONFIGURATION = {}

    def __init__(self, subscription_id=ZERO, resource_group="local", workspace_name="overdrive-local", *args, **kwargs):
        self._subscription_id, self._resource_group, self._name = subscription_id, resource_group, workspace_name

    @staticmethod
    def from_config(path=None, auth=None, _logger=None, _file_name=None):
        """Names of a `config.json`, searched upward as the old SDK did; nothing is contacted."""
        names = [_file_name] if _file_name else ["config.json"]
        folder = os.path.abspath(path or os.getcwd())
        while True:
            for candidate in [folder] if os.path.isfile(folder) else [
                    os.path.join(folder, inner, name) for inner in ("", ".azureml", "aml_config") for name in names]:
                try:
                    with io.open(candidate, encoding="utf-8-sig") as file:
                        known = json.load(file)
                    return Workspace(known.get("subscription_id", ZERO), known.get("resource_group", "local"),
                                     known.get("workspace_name", "overdrive-local"))
                except (IOError, OSError, ValueError, AttributeError):
                    continue
            upper = os.path.dirname(folder)
            if upper == folder:
                return workspace()
            folder = upper

    @staticmethod
    def get(name=None, auth=None, subscription_id=None, resource_group=None, **kwargs):
        """The local workspace under that name."""
        return Workspace(subscription_id or ZERO, resource_group or "local", name or "overdrive-local")

    name = property(lambda self: self._name)
    _workspace_name = property(lambda self: self._name)
    subscription_id = property(lambda self: self._subscription_id)
    resource_group = property(lambda self: self._resource_group)
    location = property(lambda self: "local")
    tags = property(lambda self: {})
    datasets = property(lambda self: _Datasets(self))
    datastores = property(lambda self: {"workspaceblobstore": self.get_default_datastore()})
    models = property(lambda self: _models(self))
    experiments = property(lambda self: {experiment_name(): Experiment(self, experiment_name())})
    environments = property(lambda self: {})
    compute_targets = property(lambda self: {})

    def get_details(self):
        """What is known of the workspace."""
        return {"id": ZERO, "name": self.name, "location": self.location, "type": "overdrive",
                "subscriptionId": self.subscription_id, "resourceGroup": self.resource_group, "tags": {}}

    def get_mlflow_tracking_uri(self, with_auth=False):
        """The endpoint that overdrive gave to this trial."""
        return os.environ.get("MLFLOW_TRACKING_URI", "")

    def get_default_datastore(self):
        """The local datastore."""
        return Datastore(self, "workspaceblobstore")

    def get_default_keyvault(self):
        """Secrets from the environment."""
        return Keyvault()

    def write_config(self, path=None, file_name=None):
        """Writes `.azureml/config.json`."""
        target = os.path.join(path or ".", ".azureml", file_name or "config.json")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with io.open(target, "w") as file:
            file.write(json.dumps({"subscription_id": self.subscription_id, "resource_group": self.resource_group,
                                   "workspace_name": self.name}, indent=4))


class Keyvault(object):
    """Secrets from variables `OVERDRIVE_SECRET_<name>`."""

    def get_secret(self, name):
        """One."""
        return secret(name)

    def get_secrets(self, secrets):
        """Several."""
        return {name: secret(name) for name in secrets}


class Experiment(object):
    """Stand-in for the experiment."""

    def __init__(self, workspace=None, name=None, **kwargs):
        self.workspace, self.name = workspace, name or experiment_name()

    id = property(lambda self: os.environ.get("AZUREML_EXPERIMENT_ID") or os.environ.get("MLFLOW_EXPERIMENT_ID") or ZERO)
    tags = property(lambda self: {})

    def __repr__(self):
        return "Experiment(Name: {},\nWorkspace: {})".format(self.name, getattr(self.workspace, "name", None))

    def start_logging(self, *args, **kwargs):
        """The trial that this process belongs to."""
        from azureml.core.run import Run

        return Run.get_context()

    def get_runs(self, *args, **kwargs):
        """The trial itself."""
        return iter([self.start_logging()])

    def submit(self, *args, **kwargs):
        """Not possible."""
        raise NotImplementedError("an experiment cannot be submitted from inside a trial of overdrive")


def _registry():
    known = os.environ.get("OVERDRIVE_REGISTRY")
    if known:
        return known
    report = os.environ.get("OVERDRIVE_REPORT")
    return os.path.join(os.path.dirname(os.path.abspath(report)) if report else os.getcwd(), "registry")


def _versions(kind, name):
    try:
        names = os.listdir(os.path.join(_registry(), kind, name))
    except (IOError, OSError):
        return []
    return sorted(int(entry) for entry in names if entry.isdigit())


def register(name, source, tags=None, properties=None, description=None, run_id=None):
    """Copies a model to `models/<name>/<version>/` of the registry; details go to `<version>.json` beside it."""
    if not name or "/" in name or name in (".", "..") or "\0" in name:
        raise problem("UserErrorException", "model name {!r} must be one word".format(name))
    folder = os.path.join(_registry(), "models", name)
    os.makedirs(folder, exist_ok=True)
    version = (_versions("models", name) or [0])[-1] + 1
    while True:
        try:
            os.mkdir(os.path.join(folder, str(version)))
            break
        except FileExistsError:
            version += 1
    target = os.path.join(folder, str(version), os.path.basename(source.rstrip("/")))
    if os.path.isdir(source):
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    details = {"name": name, "version": version, "path": os.path.basename(target), "description": description,
               "run_id": run_id, "created": time.time(),
               "tags": {str(key): str(value) for key, value in (tags or {}).items()} if isinstance(tags or {}, dict) else {},
               "properties": {str(key): str(value) for key, value in (properties or {}).items()}}
    temporary = os.path.join(folder, ".{}.{}".format(version, os.getpid()))
    with io.open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(details))
    os.rename(temporary, os.path.join(folder, "{}.json".format(version)))
    return Model(workspace(), name, version=version)


def _models(workspace):
    try:
        names = sorted(os.listdir(os.path.join(_registry(), "models")))
    except (IOError, OSError):
        names = []
    return {name: Model(workspace, name) for name in names if _versions("models", name)}


class Model(object):
    """A model of the local registry."""

    def __init__(self, workspace=None, name=None, id=None, tags=None, properties=None, version=None, run_id=None, **kwargs):
        if id:
            name, _, version = id.partition(":")
        versions = _versions("models", name)
        version = int(version) if version else (versions or [None])[-1]
        if version not in versions:
            raise problem("ModelNotFoundException", "model {} is not registered".format(name))
        self.workspace, self.name, self.version, self.id = workspace, name, version, "{}:{}".format(name, version)
        self._folder = os.path.join(_registry(), "models", name, str(version))
        try:
            with io.open(self._folder + ".json", encoding="utf-8") as file:
                known = json.load(file)
        except (IOError, OSError, ValueError):
            known = {}
        self.tags, self.properties = known.get("tags") or {}, known.get("properties") or {}
        self.description, self.run_id = known.get("description"), known.get("run_id")
        self.created_time, self.url = known.get("created"), "aml://asset/{}".format(self.id)

    def __repr__(self):
        return "Model(name={}, id={}, version={})".format(self.name, self.id, self.version)

    @property
    def path(self):
        """Where it lies: the single file or folder that was registered."""
        entries = [entry for entry in os.listdir(self._folder) if not entry.startswith(".")]
        return os.path.join(self._folder, entries[0]) if len(entries) == 1 else self._folder

    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None):
        """Path of a registered model."""
        return Model(_workspace, model_name, version=version).path

    @staticmethod
    def register(workspace, model_path, model_name, tags=None, properties=None, description=None, datasets=None, **kwargs):
        """Registers a local file or folder."""
        if not os.path.exists(model_path):
            raise problem("ModelPathNotFoundException", "model path {} does not exist".format(model_path))
        return register(model_name, os.path.abspath(model_path), tags, properties, description)

    @staticmethod
    def list(workspace, name=None, tags=None, properties=None, run_id=None, latest=False, **kwargs):
        """Models of the registry, newest first."""
        found = []
        for known in [name] if name else sorted(_models(workspace)):
            versions = _versions("models", known)[::-1]
            found += [Model(workspace, known, version=version) for version in (versions[:1] if latest else versions)]
        return [model for model in found if run_id in (None, model.run_id)]

    def download(self, target_dir=".", exist_ok=False, exists_ok=None):
        """Copies the model out."""
        os.makedirs(target_dir, exist_ok=True)
        target = os.path.join(target_dir, os.path.basename(self.path))
        if os.path.exists(target) and not (exist_ok or exists_ok):
            raise problem("UserErrorException", "{} exists already".format(target))
        if os.path.isdir(self.path):
            if os.path.isdir(target):
                shutil.rmtree(target)
            shutil.copytree(self.path, target)
        else:
            shutil.copyfile(self.path, target)
        return target

    def add_tags(self, tags):
        """In memory only."""
        self.tags.update(tags)

    def add_properties(self, properties):
        """In memory only."""
        self.properties.update(properties)


class _Mount(object):
    """A folder that is there already."""

    def __init__(self, path):
        self.mount_point = path

    def start(self):
        """Nothing to do."""

    def stop(self):
        """Nothing to do."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class _Data(object):
    """A dataset: a file or folder of the data map."""

    def __init__(self, path, name=None, workspace=None):
        self._path, self.name, self.version, self.id, self.workspace = str(path), name, 1, name, workspace
        self.tags, self.description = {}, None

    def __fspath__(self):
        return self._path

    def __str__(self):
        return self._path

    def _files(self):
        if os.path.isfile(self._path):
            return [self._path]
        found = []
        for folder, _, files in os.walk(self._path):
            found += [os.path.join(folder, file) for file in files]
        return sorted(found)

    def to_path(self):
        """Names of the files below the root, with a slash in front."""
        root = os.path.dirname(self._path) if os.path.isfile(self._path) else self._path
        return ["/" + os.path.relpath(file, root).replace(os.sep, "/") for file in self._files()]

    def download(self, target_path=None, overwrite=False, **kwargs):
        """The files, copied only if a target is asked for."""
        if target_path is None:
            return self._files()
        copied = []
        for file, inside in zip(self._files(), self.to_path()):
            target = os.path.join(target_path, inside.lstrip("/"))
            if os.path.exists(target) and not overwrite:
                raise problem("UserErrorException", "{} exists already".format(target))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(file, target)
            copied.append(target)
        return copied

    def mount(self, mount_point=None, **kwargs):
        """The folder where it lies."""
        return _Mount(self._path)

    def as_mount(self, path_on_compute=None):
        """Itself."""
        return self

    def as_download(self, path_on_compute=None):
        """Itself."""
        return self

    def as_named_input(self, name):
        """Itself, named."""
        self.name = name
        return self

    def register(self, workspace, name, *args, **kwargs):
        """Keeps the path under a name in the registry."""
        folder = os.path.join(_registry(), "datasets", name)
        os.makedirs(folder, exist_ok=True)
        with io.open(os.path.join(folder, "1"), "w", encoding="utf-8") as file:
            file.write(os.path.abspath(self._path))
        self.name = name
        return self


class FileDataset(_Data):
    """Files."""


class TabularDataset(_Data):
    """Rows, read by pandas where that is installed."""

    def to_pandas_dataframe(self, *args, **kwargs):
        """All files as one frame: CSV, TSV, Parquet, JSON lines."""
        import pandas

        def read(file):
            lower = file.lower()
            if lower.endswith((".parquet", ".pq")):
                return pandas.read_parquet(file)
            if lower.endswith((".json", ".jsonl", ".ndjson")):
                return pandas.read_json(file, lines=True)
            return pandas.read_csv(file, sep="\t" if lower.endswith((".tsv", ".tab")) else ",")

        frames = [read(file) for file in self._files()]
        return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)


FileDataset.to_pandas_dataframe = TabularDataset.to_pandas_dataframe


class _Datasets(dict):
    """`workspace.datasets`: looked up in the data map."""

    def __init__(self, workspace):
        super(_Datasets, self).__init__({name: TabularDataset(path, name, workspace) for name, path in _inputs().items()})
        self._workspace = workspace

    def __missing__(self, name):
        return Dataset.get_by_name(self._workspace, name)


class _Factory(object):
    """`Dataset.File`, `Dataset.Tabular`."""

    def __init__(self, kind):
        self._kind = kind

    def _make(self, path, *args, **kwargs):
        first = path[0] if isinstance(path, (list, tuple)) and path and not isinstance(path, str) else path
        if isinstance(first, tuple):
            first = os.path.join(getattr(first[0], "path", ""), first[1])
        return self._kind(first)

    from_files = from_delimited_files = from_parquet_files = from_json_lines_files = _make


class Dataset(object):
    """Looks datasets up."""

    File = _Factory(FileDataset)
    Tabular = _Factory(TabularDataset)

    @staticmethod
    def get_by_name(workspace, name, version="latest"):
        """A dataset of the data map or the registry."""
        path = _inputs().get(name) or os.environ.get("AZUREML_DATAREFERENCE_" + name)
        if path is None:
            try:
                with io.open(os.path.join(_registry(), "datasets", name, "1"), encoding="utf-8") as file:
                    path = file.read()
            except (IOError, OSError):
                raise problem("UserErrorException",
                              "dataset {} is not in the data map: name its path for this sweep".format(name))
        return TabularDataset(path, name, workspace)

    @staticmethod
    def get_by_id(workspace, id, **kwargs):
        """Ids are names here."""
        return Dataset.get_by_name(workspace, id)

    @staticmethod
    def get_all(workspace):
        """All of the data map."""
        return _Datasets(workspace)


class Datastore(object):
    """A local folder."""

    def __init__(self, workspace=None, name=None):
        self.workspace, self.name = workspace, name or "workspaceblobstore"
        self.root = os.path.join(_registry(), "datastores", self.name)

    @staticmethod
    def get(workspace, datastore_name):
        """The folder of that name."""
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace):
        """The default folder."""
        return Datastore(workspace)

    def path(self, path=None, data_reference_name=None):
        """A folder or file below it."""
        return FileDataset(os.path.join(self.root, path or ""), data_reference_name)

    def upload(self, src_dir, target_path=None, overwrite=False, show_progress=True):
        """Copies a folder in."""
        self.upload_files([os.path.join(folder, file) for folder, _, files in os.walk(src_dir) for file in files],
                          relative_root=src_dir, target_path=target_path, overwrite=overwrite)
        return self.path(target_path)

    def upload_files(self, files, relative_root=None, target_path=None, overwrite=False, show_progress=True):
        """Copies files in."""
        for file in files:
            inside = os.path.relpath(file, relative_root) if relative_root else os.path.basename(file)
            target = os.path.join(self.root, target_path or "", inside)
            if overwrite or not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(file, target)
        return self.path(target_path)

    def download(self, target_path, prefix=None, overwrite=False, show_progress=True):
        """Copies files out; returns how many."""
        count = 0
        for folder, _, files in os.walk(self.root):
            for file in files:
                inside = os.path.relpath(os.path.join(folder, file), self.root)
                target = os.path.join(target_path, inside)
                if inside.startswith(prefix or "") and (overwrite or not os.path.exists(target)):
                    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
                    shutil.copyfile(os.path.join(folder, file), target)
                    count += 1
        return count


class Environment(object):
    """A name and nothing more: the trial runs in its environment already."""

    def __init__(self, name, **kwargs):
        self.name, self.version, self.environment_variables = name, "1", {}

    @staticmethod
    def get(workspace, name, version=None, label=None):
        """An environment of that name."""
        return Environment(name)
