"""Stand-ins for the classes of `azureml.data` that training scripts name."""
from azureml._overdrive.objects import FileDataset, TabularDataset

__all__ = ["FileDataset", "TabularDataset"]
