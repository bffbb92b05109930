"""The error tree. What an error means is its class; nothing is told apart by text.

    VkError
    |- ConfigError               bad settings or provider configuration (also ValueError)
    |- PluginError               bad plugin; names the plugin and its distribution
    |- ClusterError              the API server said no, or could not be reached
    |  |- ObjectNotFoundError    404; another class than the provider's NotFoundError
    |  |- ForbiddenError         401, 403
    |  |- ConflictError          409
    |  |- ExpiredError           410: the resource version or the continue token is too old
    |  |- InvalidObjectError     422
    |  |- ThrottledError         429
    |  `- UnavailableError       no answer, or 5xx: the outcome of a write is unknown
    `- ProviderError             what provider code raises on purpose
       |- NotFoundError          the backend holds nothing under that key (also LookupError)
       |- UnsupportedError       the backend cannot do this at all (also NotImplementedError)
       |- TemporaryError         try again, after retry_after seconds if given
       `- PermanentError         trying again cannot help; reason goes into the pod's status
          `- InvalidInputError   what is asked for is impossible (also ValueError)

Any other exception from provider code counts as temporary with an unknown outcome.
"""

from __future__ import annotations

__all__ = [
    "ClusterError",
    "ConfigError",
    "ConflictError",
    "ExpiredError",
    "ForbiddenError",
    "InvalidInputError",
    "InvalidObjectError",
    "NotFoundError",
    "ObjectNotFoundError",
    "PermanentError",
    "PluginError",
    "ProviderError",
    "TemporaryError",
    "ThrottledError",
    "UnavailableError",
    "UnsupportedError",
    "VkError",
]


class VkError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigError(VkError, ValueError):
    """A setting is wrong: the text is one line that names it and says what was expected."""


class PluginError(VkError):
    """A plugin cannot be used.

    ``plugin`` is its entry-point name, ``distribution`` the installed package that it came from.
    """

    def __init__(self, message: str, *, plugin: str = "", distribution: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.distribution = distribution


class ClusterError(VkError):
    """The API server refused a request or gave no usable answer.

    ``status`` is the HTTP status (0: no answer), ``reason`` the machine-readable reason of the
    answer's Status object, ``retry_after`` the seconds that the server asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class ObjectNotFoundError(ClusterError):
    """404: the API server has no such object."""


class ForbiddenError(ClusterError):
    """401 or 403: the text names verb and resource."""


class ConflictError(ClusterError):
    """409: the object changed, exists already, or is another one than the precondition names."""


class ExpiredError(ClusterError):
    """410: the resource version or continue token is too old; list again."""


class InvalidObjectError(ClusterError):
    """422: the API server's validation refused the object."""


class ThrottledError(ClusterError):
    """429: too many requests; ``retry_after`` says when to come back."""


class UnavailableError(ClusterError):
    """No answer, a broken one, or 5xx: whether a write took effect is unknown."""


class ProviderError(VkError):
    """Base of what provider code raises on purpose."""


class NotFoundError(ProviderError, LookupError):
    """The backend holds nothing under this key. Only this means absent."""


class UnsupportedError(ProviderError, NotImplementedError):
    """The backend cannot do this at all; asking again will not change that."""


class TemporaryError(ProviderError):
    """It did not work now; the core tries again, after ``retry_after`` seconds if given."""

    def __init__(self, message: object = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(ProviderError):
    """It will never work; ``reason`` (CamelCase) is what the pod's status shows."""

    def __init__(self, message: object = "", *, reason: str = "ProviderFailed") -> None:
        super().__init__(message)
        self.reason = reason


class InvalidInputError(PermanentError, ValueError):
    """What was asked for is impossible on this backend."""
