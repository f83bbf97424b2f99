"""What can go wrong, as a tree.

::

    ServiceError
    ├── ConfigurationError      a setting is unknown, out of range or contradictory; start-up stops
    ├── ModelError              a model file or its metadata does not fit; start-up stops
    │   ├── ModelNotFound       neither the model store nor the storage path has it
    │   └── ModelMismatch       metadata, graph and configuration disagree
    ├── InferenceFault          a loaded model failed or gave no number; the decision is HOLD
    ├── StoreError             the ledger cannot be read or written; the decision is HOLD
    │   ├── StoreUnavailable   locked, full, gone; safe to try again
    │   ├── StoreCorrupt       a stored record is not what was written; start-up stops
    │   ├── LedgerRegressed     the store holds less than was acknowledged; the decision is HOLD
    │   ├── StateMoved          the state changed since it was read; read again, retry
    │   └── KeyTaken            the idempotency key is bound already
    └── RequestError            the caller sent something that cannot be served
        ├── InvalidRequest      the body is wrong; the message says what would be right
        ├── TooLarge            more than one request may hold
        ├── NotFound            no such decision, feature vector or model
        ├── Conflict            the same id with different content, or a limit on acts is used up
        └── NotReady            cannot answer now; the same request may be sent again

A refusal by the risk gate is a value, not an error, and is not in this tree. HTTP codes are
given to these errors in one place, `api/failures.py`.
"""

__all__ = [
    "ConfigurationError",
    "Conflict",
    "InferenceFault",
    "InvalidRequest",
    "KeyTaken",
    "LedgerRegressed",
    "ModelError",
    "ModelMismatch",
    "ModelNotFound",
    "NotFound",
    "NotReady",
    "RequestError",
    "ServiceError",
    "StateMoved",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "TooLarge",
]


class ServiceError(Exception):
    """Root of every error that this product raises on purpose."""


class ConfigurationError(ServiceError):
    """A setting is unknown, out of range, or contradicts another one."""


class ModelError(ServiceError):
    """A model cannot be served as it is configured."""


class ModelNotFound(ModelError):
    """The model is neither in the model store nor under the storage path."""


class ModelMismatch(ModelError):
    """A model's metadata, its graph and the configuration do not agree."""


class InferenceFault(ServiceError):
    """A loaded model failed, or gave an output that is no probability vector."""


class StoreError(ServiceError):
    """The ledger could not do what was asked of it."""


class StoreUnavailable(StoreError):
    """The store is locked, full or gone. Trying again is safe."""


class StoreCorrupt(StoreError):
    """A stored record is not the one that was written."""


class LedgerRegressed(StoreError):
    """The store holds less, or something else, than this service was acknowledged before."""


class StateMoved(StoreError):
    """The risk state changed between reading it and appending to it."""


class KeyTaken(StoreError):
    """An event with this idempotency key is on record already."""


class RequestError(ServiceError):
    """The caller sent something that cannot be served.

    Args:
        message: what was wrong, where, and what would be right.
        code: short machine-readable name; each subclass has a default.
        detail: optional structure for programs, e.g. a list of fields.
    """

    code = "bad_request"

    def __init__(self, message: str, *, code: str | None = None, detail: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        if code is not None:
            self.code = code


class InvalidRequest(RequestError):
    """The body is wrong. The message says what would be right."""

    code = "invalid_request"


class TooLarge(RequestError):
    """More than one request may hold."""

    code = "too_large"


class NotFound(RequestError):
    """No such decision, feature vector or model."""

    code = "not_found"


class Conflict(RequestError):
    """The same id came with different content, or an allowance is used up."""

    code = "conflict"


class NotReady(RequestError):
    """The service cannot answer now. The same request is safe to send again."""

    code = "not_ready"
