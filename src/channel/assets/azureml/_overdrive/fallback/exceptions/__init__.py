"""Exceptions of azureml-core under their own names."""


class AzureMLException(Exception):
    """Root of all."""

    def __init__(self, exception_message="", inner_exception=None, **kwargs):
        super(AzureMLException, self).__init__(exception_message)
        self._exception_message, self._inner_exception = exception_message, inner_exception

    message = property(lambda self: self._exception_message)
    inner_exception = property(lambda self: self._inner_exception)

    def __str__(self):
        return "{}:\n\tMessage: {}".format(type(self).__name__, self._exception_message)


class UserErrorException(AzureMLException):
    """The caller's mistake."""


class ServiceException(AzureMLException):
    """Never raised here."""


class WorkspaceException(AzureMLException):
    """Never raised here."""


class ProjectSystemException(AzureMLException):
    """Never raised here."""


class ExperimentExecutionException(AzureMLException):
    """Never raised here."""


class TrainingException(AzureMLException):
    """Never raised here."""


class SnapshotException(AzureMLException):
    """Never raised here."""


class AuthenticationException(AzureMLException):
    """Never raised here."""


class ComputeTargetException(AzureMLException):
    """Never raised here."""


class ActivityFailedException(AzureMLException):
    """Never raised here."""


class RunEnvironmentException(AzureMLException):
    """No trial, and offline is not allowed."""


class RunConfigurationException(AzureMLException):
    """Never raised here."""


class WebserviceException(AzureMLException):
    """Root of the model errors."""


class ModelNotFoundException(WebserviceException):
    """A model that is not registered."""


class ModelPathNotFoundException(WebserviceException):
    """A model file that was not uploaded."""
