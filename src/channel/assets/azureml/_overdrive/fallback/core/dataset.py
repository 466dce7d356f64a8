"""`azureml.core.dataset`: local stand-in."""
from azureml._overdrive.objects import Dataset

__all__ = ["Dataset"]
