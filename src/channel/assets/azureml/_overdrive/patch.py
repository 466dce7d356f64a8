"""Beside a real azureml-core: `Run.get_context` returns the trial, and what is asked with the trial's own workspace is answered here.

Everything else stays the real one: with a workspace that the script got elsewhere, the real classes do what they always did.
"""
import importlib.abc
import importlib.machinery
import os
import sys


class _Loader(importlib.abc.Loader):
    """The real loader, with one step more at the end."""

    def __init__(self, inner, patch):
        self.inner = inner
        self.patch = patch

    def create_module(self, spec):
        return self.inner.create_module(spec)

    def exec_module(self, module):
        self.inner.exec_module(module)
        self.patch(module)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name not in TARGETS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, TARGETS[name])
        return spec


def install():
    """Arms the finder; outside of a trial nothing is changed."""
    if os.environ.get("OVERDRIVE_REPORT") and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _run(module):
    """Replaces what looks for the trial, and what looks for other runs of its sweep."""
    from azureml._overdrive import objects
    from azureml._overdrive.trial import Trial, current, visible

    real = module.Run
    trial_class = type("TrialRun", (Trial, real), {"__doc__": "The trial of overdrive that this process belongs to."})

    def get_context(cls, allow_offline=True, used_for_context_manager=False, **kwargs):
        """The trial that this process belongs to."""
        return current(trial_class)

    def get_submitted_run(cls, **kwargs):
        """The trial that this process belongs to."""
        return current(trial_class)

    real_get, real_get_run = real.get, module.get_run

    def get(workspace, run_id):
        """A run of the same sweep by id; with a workspace of another kind, what azureml-core finds there."""
        ours = workspace is None or isinstance(workspace, objects.Workspace)
        return visible(current(trial_class), run_id) if ours else real_get(workspace, run_id)

    def get_run(experiment, run_id, *args, **kwargs):
        """The same, by experiment."""
        ours = experiment is None or isinstance(experiment, objects.Experiment)
        return visible(current(trial_class), run_id) if ours else real_get_run(experiment, run_id, *args, **kwargs)

    real.get_context = classmethod(get_context)
    real.get_submitted_run = classmethod(get_submitted_run)
    real.get = staticmethod(get)
    module.get_run = get_run


def _answered_here(real, ours, names):
    """Static methods and the constructor of a real class, with those calls that name the trial's workspace first sent to ours."""
    from azureml._overdrive import objects

    def shared(name):
        real_call, our_call = getattr(real, name, None), getattr(ours, name)

        def call(workspace, *args, **kwargs):
            if isinstance(workspace, objects.Workspace):
                return our_call(workspace, *args, **kwargs)
            if real_call is None:
                raise AttributeError("{!r} has no attribute {!r}".format(real.__name__, name))
            return real_call(workspace, *args, **kwargs)

        call.__name__, call.__doc__ = name, getattr(real_call, "__doc__", None)
        return staticmethod(call)

    for name in names:
        setattr(real, name, shared(name))
    real_new = real.__new__

    def new(cls, workspace=None, *args, **kwargs):
        if isinstance(workspace, objects.Workspace):
            return ours(workspace, *args, **kwargs)
        return object.__new__(cls) if real_new is object.__new__ else real_new(cls, workspace, *args, **kwargs)

    real.__new__ = new


def _dataset(module):
    from azureml._overdrive import objects

    _answered_here(module.Dataset, objects.Dataset, ("get_by_name", "get_by_id", "get_all"))


def _datastore(module):
    from azureml._overdrive import objects

    _answered_here(module.Datastore, objects.Datastore, ("get", "get_default"))


def _model(module):
    from azureml._overdrive import objects

    real = module.Model
    real_path = real.get_model_path
    _answered_here(real, objects.Model, ("register", "list"))

    def get_model_path(model_name, version=None, _workspace=None):
        """Path of a model that a trial registered, else what azureml-core finds."""
        try:
            return objects.Model(None, model_name, version=version).path
        except Exception:
            return real_path(model_name, version=version, _workspace=_workspace)

    real.get_model_path = staticmethod(get_model_path)


TARGETS = {
    "azureml.core.run": _run,
    "azureml.core.dataset": _dataset,
    "azureml.core.datastore": _datastore,
    "azureml.core.model": _model,
}
