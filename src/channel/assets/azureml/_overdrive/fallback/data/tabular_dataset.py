"""`azureml.data.tabular_dataset`: local stand-in."""
from azureml._overdrive.objects import TabularDataset

__all__ = ["TabularDataset"]
