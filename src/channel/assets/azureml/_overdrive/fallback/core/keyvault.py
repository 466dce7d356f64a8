"""`azureml.core.keyvault`: local stand-in."""
from azureml._overdrive.objects import Keyvault

__all__ = ["Keyvault"]
