"""The `azureml` namespace inside a trial of overdrive.

This folder stands first on PYTHONPATH. Where a real azureml-core is installed it stays the one that answers, and only
`azureml.core.run.Run.get_context` is replaced; elsewhere a small stand-in for `azureml.core` is offered. Python 3.6 or newer,
standard library only.
"""
import os as _os
import pkgutil as _pkgutil

_own = _os.path.dirname(_os.path.abspath(__file__))
__path__ = _pkgutil.extend_path(__path__, __name__)


def _real_core():
    """Whether another folder of the namespace holds azureml-core."""
    for folder in list(__path__):
        if _os.path.abspath(folder) == _own:
            continue
        for name in ("run.py", "run.pyc"):
            if _os.path.isfile(_os.path.join(folder, "core", name)):
                return True
    return False


if _real_core():
    from azureml._overdrive import patch as _patch

    _patch.install()
else:
    __path__.append(_os.path.join(_own, "_overdrive", "fallback"))
