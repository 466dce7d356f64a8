"""`azureml.core.experiment`: local stand-in."""
from azureml._overdrive.objects import Experiment

__all__ = ["Experiment"]
