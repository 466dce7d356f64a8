"""Stand-in for azureml-core where it is not installed: what training scripts use of it."""
from azureml._overdrive.objects import Dataset, Datastore, Environment, Experiment, Keyvault, Model, Workspace
from azureml.core.run import Run, get_run

VERSION = "1.61.0"
__version__ = VERSION
__all__ = ["Run", "Workspace", "Experiment", "Dataset", "Datastore", "Model", "Environment", "Keyvault", "get_run"]
