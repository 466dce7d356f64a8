"""`azureml.data.file_dataset`: local stand-in."""
from azureml._overdrive.objects import FileDataset

__all__ = ["FileDataset"]
