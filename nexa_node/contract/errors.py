"""Everything that may go wrong, as one tree and one table.

    NexaError
     ├ Unauthorized  Forbidden  NotFound  Invalid  PayloadTooLarge
     ├ RateLimited   BudgetExceeded  Conflict  Duplicate  LeaseLost
     ├ DeadlineExceeded  Cancelled  Rejected
     ├ Unavailable   Draining   NoAgentAvailable
     └ UnsupportedVersion

Each class carries its JSON-RPC code, its reason, its HTTP status and whether the same
call may be tried again. A message says what happened, to which thing, and what to do.
An outcome that the caller expects is a value, not one of these.
"""

from typing import Any, ClassVar

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603


class NexaError(Exception):
    """A call that failed, and what to tell the caller."""

    code: ClassVar[int] = INTERNAL_ERROR
    reason: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        retry_after_ms: int | None = None,
        details: Any = None,
    ) -> None:
        """Keep what happened.

        Args:
            message: What happened, to which thing.
            remedy: The command or the setting that mends it.
            retry_after_ms: How long to wait before the same call may succeed.
            details: Anything JSON can hold, for programs.
        """
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.retry_after_ms = retry_after_ms
        self.details = details


class Unauthorized(NexaError):
    """Nobody we know: no token, or a wrong, expired or revoked one."""

    code, reason, status = 1001, "unauthorized", 401


class Forbidden(NexaError):
    """Somebody we know, who may not do this."""

    code, reason, status = 1002, "forbidden", 403


class NotFound(NexaError):
    """No such thing."""

    code, reason, status = 1003, "not_found", 404


class Invalid(NexaError):
    """The call is well-formed and means nothing: a bad id, a wrong type."""

    code, reason, status = 1004, "invalid", 400


class PayloadTooLarge(NexaError):
    """More bytes than the limit that was advertised."""

    code, reason, status = 1005, "payload_too_large", 413


class RateLimited(NexaError):
    """Too many calls; nothing was stored."""

    code, reason, status, retryable = 1006, "rate_limited", 429, True


class BudgetExceeded(NexaError):
    """The tokens or the money set aside are spent."""

    code, reason, status = 1007, "budget_exceeded", 402


class Conflict(NexaError):
    """Somebody else changed it first; `details` holds the current value."""

    code, reason, status, retryable = 1008, "conflict", 409, True


class Duplicate(NexaError):
    """It exists already, and differs."""

    code, reason, status = 1009, "duplicate", 409


class LeaseLost(NexaError):
    """The claim is an old one: the task belongs to somebody else by now."""

    code, reason, status = 1010, "lease_lost", 409


class DeadlineExceeded(NexaError):
    """The time allowed is over."""

    code, reason, status = 1011, "deadline_exceeded", 504


class Cancelled(NexaError):
    """Somebody called it off."""

    code, reason, status = 1012, "cancelled", 409


class Rejected(NexaError):
    """The agent would not take it."""

    code, reason, status, retryable = 1013, "rejected", 409, True


class Unavailable(NexaError):
    """The store does not answer, or has no quorum."""

    code, reason, status, retryable = 1014, "unavailable", 503, True


class Draining(NexaError):
    """The node is on its way out and takes nothing new."""

    code, reason, status, retryable = 1015, "draining", 503, True


class UnsupportedVersion(NexaError):
    """The two sides share no protocol version."""

    code, reason, status = 1016, "unsupported_version", 426


class NoAgentAvailable(NexaError):
    """No agent with that capability is connected."""

    code, reason, status, retryable = 1017, "no_agent_available", 503, True


APPLICATION_ERRORS: tuple[type[NexaError], ...] = (
    Unauthorized,
    Forbidden,
    NotFound,
    Invalid,
    PayloadTooLarge,
    RateLimited,
    BudgetExceeded,
    Conflict,
    Duplicate,
    LeaseLost,
    DeadlineExceeded,
    Cancelled,
    Rejected,
    Unavailable,
    Draining,
    UnsupportedVersion,
    NoAgentAvailable,
)
BY_REASON = {error.reason: error for error in APPLICATION_ERRORS}
BY_CODE = {error.code: error for error in APPLICATION_ERRORS}

CLOSE_SLOW = 4408
CLOSE_TAKEN_OVER = 4409
CLOSE_HEARTBEAT = 4412
CLOSE_GOING_AWAY = 4413
CLOSE_UNAUTHORIZED = 4501
CLOSE_FORBIDDEN = 4502
CLOSE_UNSUPPORTED_VERSION = 4503
CLOSE_PROTOCOL_ERROR = 4504
CLOSE_REVOKED = 4505


def may_reconnect(close_code: int) -> bool:
    """Say whether a client closed with this code should come back and resume."""
    return not 4500 <= close_code <= 4999


class ErrorData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands in `error.data` of a JSON-RPC error."""

    reason: str
    retryable: bool
    retry_after_ms: int | None = None
    remedy: str | None = None
    details: Any = None


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON-RPC error."""

    code: int
    message: str
    data: ErrorData | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error over REST: RFC 9457 `application/problem+json`."""

    title: str
    status: int
    reason: str
    detail: str
    retryable: bool
    type: str = "about:blank"
    remedy: str | None = None
    retry_after_ms: int | None = None
    details: Any = None


def error_object(error: NexaError) -> ErrorObject:
    """Put `error` into the words of JSON-RPC."""
    data = ErrorData(
        reason=error.reason,
        retryable=error.retryable,
        retry_after_ms=error.retry_after_ms,
        remedy=error.remedy,
        details=error.details,
    )
    return ErrorObject(code=error.code, message=error.message, data=data)


def problem(error: NexaError) -> Problem:
    """Put `error` into the words of RFC 9457."""
    return Problem(
        title=error.reason.replace("_", " ").capitalize(),
        status=error.status,
        reason=error.reason,
        detail=error.message,
        retryable=error.retryable,
        remedy=error.remedy,
        retry_after_ms=error.retry_after_ms,
        details=error.details,
    )


def from_problem(told: Problem) -> NexaError:
    """Make the error again that a node told us over REST."""
    kind = BY_REASON.get(told.reason, NexaError)
    return kind(
        told.detail,
        remedy=told.remedy,
        retry_after_ms=told.retry_after_ms,
        details=told.details,
    )


def from_error_object(told: ErrorObject) -> NexaError:
    """Make the error again that a node told us over JSON-RPC."""
    kind = BY_CODE.get(told.code, NexaError)
    data = told.data or ErrorData(reason=kind.reason, retryable=kind.retryable)
    return kind(
        told.message,
        remedy=data.remedy,
        retry_after_ms=data.retry_after_ms,
        details=data.details,
    )
