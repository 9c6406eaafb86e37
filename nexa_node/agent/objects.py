"""Data that is too large for a frame: kept by the cluster, passed on by reference."""

import asyncio
import hashlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec

from nexa_node.contract.errors import (
    NexaError,
    Problem,
    Unavailable,
    from_problem,
)
from nexa_node.contract.messages import ObjectRef

_TIMEOUT_S = 30.0
_SCHEMES = {"ws": "http", "wss": "https"}


def reference_in(data: Any) -> ObjectRef | None:
    """The claim check that `data` is; None if it is data itself."""
    if not isinstance(data, Mapping):
        return None
    held = cast("Mapping[str, Any]", data)
    if not {"$ref", "size", "sha256"} <= held.keys():
        return None
    try:
        return msgspec.convert(dict(held), ObjectRef)
    except msgspec.ValidationError:
        return None


class Objects:
    """The cluster's store of large data, by the node's REST port."""

    def __init__(
        self, agent_url: str, token: str | None, tls: ssl.SSLContext | None
    ) -> None:
        """Talk to the node whose agent endpoint is `agent_url`."""
        parts = urlsplit(agent_url)
        self._base = urlunsplit((_SCHEMES[parts.scheme], parts.netloc, "", "", ""))
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._tls = tls

    async def put(self, content: bytes) -> ObjectRef:
        """Keep `content`; what is returned stands for it.

        Raises:
            NexaError: The node refuses it; Unavailable when no node answers.
        """
        headers = {**self._headers, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(  # noqa: S310  # the node's own address
            f"{self._base}/v1/objects", data=content, headers=headers, method="POST"
        )
        answer = await asyncio.to_thread(self._open, request)
        return msgspec.json.decode(answer, type=ObjectRef)

    async def get(self, reference: ObjectRef) -> bytes:
        """Fetch what `reference` stands for.

        Raises:
            NexaError: It is not there any more, or is not what it should be.
        """
        request = urllib.request.Request(  # noqa: S310  # the node's own address
            f"{self._base}/v1/objects/{reference.sha256}", headers=self._headers
        )
        content = await asyncio.to_thread(self._open, request)
        if hashlib.sha256(content).hexdigest() != reference.sha256:
            raise Unavailable(f"the object {reference.sha256} came damaged: try again")
        return content

    def _open(self, request: urllib.request.Request) -> bytes:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self._tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self._tls))
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise _told(error.read(), error.code) from None
        except OSError as error:
            raise Unavailable(f"{self._base} does not answer: {error}") from None


def _told(body: bytes, status: int) -> NexaError:
    try:
        return from_problem(msgspec.json.decode(body, type=Problem))
    except msgspec.DecodeError:
        return Unavailable(f"the node answered HTTP {status}")
