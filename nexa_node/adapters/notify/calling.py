"""One HTTP call to somebody outside: bounded, never redirected, its answer classified.

URLs and headers hold secrets, so neither is ever part of a message, and what a server
says back is searched for them.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.notifying.texts import line
from nexa_node.ports import Sent

# It logs each URL at INFO: that of a Slack webhook is its password.
logging.getLogger("httpx").setLevel(logging.WARNING)

ANSWER_BYTES = 64 * 1024
DETAIL_MAX = 200
SECRET_MIN = 8
"""A shorter path hides nothing, and blotting it out would make answers unreadable."""
_TRY_AGAIN = frozenset((408, 425, 429))

Client = Callable[[], Awaitable[httpx.AsyncClient]]
"""Makes the client when it is needed first, or gives the one it made."""
Secret = Callable[[], Awaitable[str]]
"""Reads a secret from its file, anew each time: it can be changed without a restart.

Raises `NexaError` if there is none, or others may read it."""


async def post(
    client: Client,
    url: str,
    content: bytes,
    *,
    headers: Mapping[str, str],
    secrets: Iterable[str] = (),
) -> Sent:
    """POST JSON and say how it ended; raises nothing.

    Args:
        client: To call with; has the time-outs.
        url: Where to.
        content: JSON.
        headers: Besides the content's type.
        secrets: What must not stand in what is told; the URL is hidden anyway.
    """
    hidden = (url, *_tail(url), *secrets)
    try:
        opened = await client()
        async with opened.stream(
            "POST",
            url,
            content=content,
            headers={
                "content-type": "application/json",
                "user-agent": "nexa",
                **headers,
            },
            follow_redirects=False,
        ) as answer:
            body = await _beginning(answer)
    except NexaError as error:
        return Sent(False, error.message, retry=True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Sent(False, hide(_why(error), hidden), retry=_may_pass(error))
    said = line(hide(body.decode(errors="replace"), hidden), DETAIL_MAX)
    told = f"{answer.status_code} {said}".strip()
    if answer.is_success:
        return Sent(True, told)
    if answer.is_redirect:
        return Sent(False, f"{answer.status_code}: it redirects, which is not followed")
    retry = answer.status_code in _TRY_AGAIN or answer.status_code >= 500
    asked = retry_after_s(answer.headers.get("retry-after", ""), datetime.now(UTC))
    return Sent(False, told, retry=retry, after_s=asked if retry else None)


def retry_after_s(text: str, now: datetime) -> float | None:
    """Read `Retry-After`: seconds, or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def hide(text: str, secrets: Iterable[str]) -> str:
    """Blot secrets out: a hostile server may say ours back to us."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    return text


def _tail(url: str) -> tuple[str, ...]:
    """What stands behind the host: the part of a webhook's URL that is its password."""
    tail = url.partition("://")[2].partition("/")[2]
    return (tail,) if len(tail) >= SECRET_MIN else ()


async def _beginning(answer: httpx.Response) -> bytes:
    """As much of the body as is worth reading."""
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) >= ANSWER_BYTES:
            break
    return body[:ANSWER_BYTES]


def _why(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer in time ({type(error).__name__})"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return line(f"no connection: {error}", DETAIL_MAX)
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return "the URL is no http or https URL"
    return line(f"the call failed ({type(error).__name__})", DETAIL_MAX)


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL))
