"""Beside a real azureml-core: after `azureml.core.run` was imported, `Run.get_context` returns the trial, everything else stays."""
import importlib.abc
import importlib.machinery
import os
import sys

TARGET = "azureml.core.run"


class _Loader(importlib.abc.Loader):
    """The real loader, with one step more at the end."""

    def __init__(self, inner):
        self.inner = inner

    def create_module(self, spec):
        return self.inner.create_module(spec)

    def exec_module(self, module):
        self.inner.exec_module(module)
        patch(module)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != TARGET:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def install():
    """Arms the finder; outside of a trial nothing is changed."""
    if os.environ.get("OVERDRIVE_REPORT") and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def patch(module):
    """Replaces the two class methods of the real Run that look for the trial."""
    from azureml._overdrive.trial import Trial, current

    real = module.Run
    trial_class = type("TrialRun", (Trial, real), {"__doc__": "The trial of overdrive that this process belongs to."})

    def get_context(cls, allow_offline=True, used_for_context_manager=False, **kwargs):
        """The trial that this process belongs to."""
        return current(trial_class)

    def get_submitted_run(cls, **kwargs):
        """The trial that this process belongs to."""
        return current(trial_class)

    real.get_context = classmethod(get_context)
    real.get_submitted_run = classmethod(get_submitted_run)
