"""`azureml.core.workspace`: local stand-in."""
from azureml._overdrive.objects import Workspace

__all__ = ["Workspace"]
