"""One call of an API of theirs: bounded, never redirected, its answer read strictly."""

import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from nexa_node.contract.errors import Invalid, NotFound, Unavailable
from nexa_node.core.alerting.notifying.texts import line

logging.getLogger("httpx").setLevel(logging.WARNING)

ANSWER_BYTES = 64 * 1024**2
_SAID_MAX = 300

T = TypeVar("T")

Client = Callable[[], Awaitable[httpx.AsyncClient]]
"""Makes the client when it is needed first, or gives the one it made."""
Secret = Callable[[], Awaitable[str]]
"""Reads a secret from its file, anew each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Calls of one server, with credentials if it wants any."""

    client: Client
    base: str
    """Its URL, path prefix included."""
    name: str
    """As it is called in messages: `Alertmanager`."""
    username: str = ""
    password: Secret | None = None

    async def get(
        self, path: str, kind: type[T], *, query: Mapping[str, str] | None = None
    ) -> T:
        """GET a record.

        Raises:
            Unavailable: It does not answer, or not as its API promises.
            Invalid, NotFound: It says so.
        """
        return self.decoded(await self._call("GET", path, query=query), kind)

    async def post(self, path: str, body: Any) -> bytes:
        """POST JSON; what is answered. Raises as `get` does."""
        return await self._call("POST", path, msgspec.json.encode(body))

    async def delete(self, path: str) -> None:
        """DELETE; raises as `get` does."""
        await self._call("DELETE", path)

    def decoded(self, content: bytes, kind: type[T]) -> T:
        """Read an answer.

        Raises:
            Unavailable: It is not what the API promises.
        """
        try:
            return msgspec.json.decode(content, type=kind, strict=False)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"{self.name} at {self.base} does not answer as its API promises:"
                f" {error}",
                remedy="is the URL the right one? see [alerting] in nexa config show",
            ) from None

    async def _call(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        headers = {"accept": "application/json", **await self._authorization()}
        if content is not None:
            headers["content-type"] = "application/json"
        try:
            client = await self.client()
            async with client.stream(
                method,
                self.base.rstrip("/") + path,
                content=content,
                params=query,
                headers=headers,
                follow_redirects=False,
            ) as answer:
                body = b""
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES:
                        raise self._silent("it answers more than can be read")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._silent(f"{type(error).__name__}: {error}") from error
        self._check(answer.status_code, body)
        return body

    def _check(self, status: int, body: bytes) -> None:
        if 200 <= status < 300:
            return
        said = line(body.decode(errors="replace"), _SAID_MAX)
        text = f"{self.name} at {self.base} answered {status}: {said}"
        if status == 404:
            raise NotFound(text)
        if 400 <= status < 500 and status not in (401, 403, 408, 429):
            raise Invalid(text)
        raise Unavailable(text, remedy="see [alerting] in nexa config show")

    def _silent(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self.name} at {self.base} can't be reached: {line(why, _SAID_MAX)}",
            remedy=f"is it running? see [alerting]; curl {self.base}/-/ready",
        )

    async def _authorization(self) -> dict[str, str]:
        if self.password is None:
            return {}
        password = await self.password()
        if not self.username:
            return {"authorization": f"Bearer {password}"}
        pair = base64.b64encode(f"{self.username}:{password}".encode()).decode()
        return {"authorization": f"Basic {pair}"}
