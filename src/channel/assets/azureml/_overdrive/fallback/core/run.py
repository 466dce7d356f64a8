"""`azureml.core.run`: the run of the current trial, or the printing offline run outside of one."""
import logging
import uuid

from azureml._overdrive import trial as _trial

_log = logging.getLogger(__name__)


class Run(_trial.Trial):
    """A run; inside a trial `get_context` returns it."""

    @classmethod
    def get_context(cls, allow_offline=True, used_for_context_manager=False, **kwargs):
        """The trial of this process; outside of one an offline run, or an error if that is not allowed."""
        if _trial.armed():
            return _trial.current(_SubmittedRun)
        if not allow_offline:
            from azureml.exceptions import RunEnvironmentException

            raise RunEnvironmentException("could not load a submitted run, and allow_offline is false")
        return _OfflineRun(**kwargs)

    @classmethod
    def get_submitted_run(cls, **kwargs):
        """The trial of this process."""
        return cls.get_context(allow_offline=False)

    @staticmethod
    def get(workspace, run_id):
        """A run of the same sweep by id."""
        return get_run(None, run_id)

    @staticmethod
    def list(*args, **kwargs):
        """Not possible."""
        raise NotImplementedError("runs cannot be listed from inside a trial of overdrive")


class _SubmittedRun(Run):
    """The trial."""


def get_run(experiment, run_id, rehydrate=True, clean_up=True):
    """The trial of this process or its sweep; no other is visible from here."""
    return _trial.visible(Run.get_context(allow_offline=False), run_id)


class _OfflineRun(object):
    """Prints what it is told; the texts are those of azureml-core, so that they can be read back from the output."""

    def __init__(self, parent_path=None, run_id=None, **kwargs):
        self._run_id = run_id or "OfflineRun_{}".format(uuid.uuid4())

    id = property(lambda self: self._run_id)

    def _metric(self, kind, name, value):
        print("Attempted to log {} metric {}:\n{}".format(kind, name, value))

    def log(self, name, value, description=""):
        """Prints a scalar."""
        self._metric("scalar", name, value)

    def log_list(self, name, value, description=""):
        """Prints a list."""
        self._metric("list", name, value)

    def log_row(self, name, description=None, **kwargs):
        """Prints a row."""
        self._metric("row", name, kwargs)

    def log_table(self, name, value, description=""):
        """Prints a table."""
        self._metric("table", name, value)

    def log_image(self, name, path=None, plot=None, description=""):
        """Prints a path."""
        self._metric("image", name, plot if path is None else path)

    def log_residuals(self, name, value, description=None):
        """Prints residuals."""
        self._metric("residual", name, value)

    def log_predictions(self, name, value, description=None):
        """Prints predictions."""
        self._metric("predictions", name, value)

    def log_accuracy_table(self, name, value, description=None):
        """Prints an accuracy table."""
        self._metric("accuracy_table", name, value)

    def log_confusion_matrix(self, name, value, description=None):
        """Prints a confusion matrix."""
        self._metric("confusion_matrix", name, value)

    def upload_folder(self, name, path, datastore_name=None):
        """Prints a folder."""
        print("Attempted to track folder {} at {}".format(name, path))

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """Prints a file."""
        print("Attempted to track file {} at {}".format(name, path_or_stream))

    def upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None):
        """Prints files."""
        print("Attempted to track files {} at {}".format(names, paths))

    def add_properties(self, properties):
        """Prints properties."""
        print("Attempted to add properties {}".format(properties))

    def set_tags(self, tags):
        """Prints tags."""
        print("Attempted to set tags {}".format(tags))

    def tag(self, name, value=None):
        """Prints a tag."""
        print("Attempted to add tag {} with value {}".format(name, value))

    def child_run(self, name=None, run_id=None, outputs=None):
        """A further offline run."""
        return _OfflineRun(run_id=run_id or "{}.{}".format(self.id, name or uuid.uuid4()))

    def flush(self):
        """Prints."""
        print("Attempted to flush run with id {}".format(self.id))

    def complete(self):
        """Only logs."""
        _log.debug("attempted to complete run with id %s", self.id)

    def cancel(self):
        """Only logs."""
        _log.debug("attempted to cancel run with id %s", self.id)

    def fail(self, error_details=None, error_code=None):
        """Prints the error."""
        print("Run failed with error code {}:\n{}".format(error_code, error_details))

    def __enter__(self):
        print("[START] Run {} context".format(self.id))
        return self

    def __exit__(self, *error):
        print("[STOP] Run {} context".format(self.id))
