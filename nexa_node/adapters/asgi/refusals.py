"""What HTTP itself refuses, before the node is asked anything."""

from collections.abc import Mapping

from nexa_node.contract.errors import NexaError, Problem, problem

DETAIL_MAX = 500
"""Characters of an error's text that are told: it may quote what was sent."""


class Refusal(Exception):
    """An answer that is an error, with the status and headers HTTP wants for it."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the answer.

        Args:
            status: The HTTP status.
            reason: One word for programs, as in the protocol's errors.
            detail: What happened, to which thing.
            remedy: What mends it.
            headers: To be sent along.
        """
        super().__init__(detail)
        self.problem = Problem(
            title=reason.replace("_", " ").capitalize(),
            status=status,
            reason=reason,
            detail=detail[:DETAIL_MAX],
            retryable=False,
            remedy=remedy,
        )
        self.headers = dict(headers or {})


def refusal(error: NexaError) -> Refusal:
    """Put what the node says into an HTTP answer."""
    told = problem(error)
    made = Refusal(told.status, told.reason, told.detail, remedy=told.remedy)
    made.problem = Problem(
        title=told.title,
        status=told.status,
        reason=told.reason,
        detail=told.detail[:DETAIL_MAX],
        retryable=told.retryable,
        remedy=told.remedy,
        retry_after_ms=told.retry_after_ms,
        details=told.details,
    )
    if told.status == 401:
        made.headers["www-authenticate"] = 'Bearer realm="nexa"'
    if told.retry_after_ms is not None:
        made.headers["retry-after"] = str(max(1, -(-told.retry_after_ms // 1000)))
    return made


def internal() -> Refusal:
    """Say that it is our fault, and nothing more."""
    return Refusal(
        500,
        "internal",
        "the node failed to answer; its log says why, under this request's id",
        remedy="nexa logs --follow",
    )


def unknown_path(path: str) -> Refusal:
    """Say that there is no such path."""
    return Refusal(
        404,
        "not_found",
        f"there is nothing at {path[:200]}",
        remedy="see /openapi.json",
    )


def unknown_method(method: str, allowed: list[str]) -> Refusal:
    """Say which methods there are instead."""
    return Refusal(
        405,
        "method_not_allowed",
        f"{method[:20]} is not possible here; {', '.join(allowed)} is",
        headers={"allow": ", ".join(allowed)},
    )
