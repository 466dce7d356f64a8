"""`azureml.core.datastore`: local stand-in."""
from azureml._overdrive.objects import Datastore

__all__ = ["Datastore"]
