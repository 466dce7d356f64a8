"""`azureml.core.model`: local stand-in."""
from azureml._overdrive.objects import Model

__all__ = ["Model"]
