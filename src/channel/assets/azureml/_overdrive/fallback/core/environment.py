"""`azureml.core.environment`: local stand-in."""
from azureml._overdrive.objects import Environment

__all__ = ["Environment"]
