"""The REST API from a command's point of view: one call, one answer, no loop."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import httpx
import msgspec

from nexa_node.contract.errors import (
    NexaError,
    Problem,
    Unauthorized,
    Unavailable,
    from_problem,
)
from nexa_node.contract.plans import Plan
from nexa_tui.client.discovery import Target
from nexa_tui.client.prometheus import refusal
from nexa_tui.client.read_only import check_call
from nexa_tui.client.trust import context_for, trouble_in

T = TypeVar("T")
_CONNECT_S = 3.0
_ANSWER_S = 15.0
_SLOW = httpx.Timeout(1800.0, connect=_CONNECT_S)
"""Between two pieces of something large: a node takes, or verifies, all of it before it
speaks."""


class NoNode(NexaError):
    """No node can be reached: exit code 3."""

    reason = "no_node"
    status = 503


class Cut(Unavailable):
    """The node broke off in the middle of something large."""


class Rest:
    """A connection to one node."""

    def __init__(
        self, target: Target, *, on_stale: Callable[[], None] | None = None
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: The node.
            on_stale: Called once when it says that what it tells may be old.
        """
        self._on_stale = on_stale
        headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
        self.target = target
        self._http = httpx.Client(
            base_url=target.url,
            headers=headers,
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            trust_env=False,
            # Plain HTTP needs no certificate store, which takes 20 ms to load.
            verify=context_for(target.url, target.trust) or False,
        )

    def __enter__(self) -> "Rest":
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def get(
        self,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, Any] | None = None,
        wait_s: float = 0.0,
    ) -> T:
        """GET a record.

        Args:
            path: Below the node's URL.
            kind: What the answer is decoded as.
            query: None values are left out.
            wait_s: How long the node itself may take before it answers.

        Raises:
            NoNode: Nothing answers there.
            NexaError: What the node says is wrong.
        """
        return self._call("GET", path, kind, query=query, wait_s=wait_s)

    def post(
        self,
        path: str,
        kind: type[T],
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> T:
        """POST a record; see `get`."""
        return self._call(
            "POST",
            path,
            kind,
            body=body,
            query=query,
            headers=headers,
            wait_s=wait_s,
        )

    def delete(self, path: str, *, query: Mapping[str, Any] | None = None) -> None:
        """DELETE a record; see `get`."""
        self._call("DELETE", path, type(None), query=query)

    def plan(self, method: str, path: str, *, body: Any = None) -> Plan:
        """Ask what a dangerous call would do, and have nothing done; see `get`."""
        return self._call(method, path, Plan, body=body, query={"dry_run": True})

    def text(self, path: str) -> str:
        """GET something that is no JSON; see `get`."""
        try:
            answer = self._http.get(path)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise self._told(answer)
        return answer.text

    def stream(
        self, path: str, kind: type[T], *, query: Mapping[str, Any]
    ) -> Iterator[T]:
        """POST, and yield the answer's lines as they come."""
        decoder = msgspec.json.Decoder(kind)
        try:
            with self._http.stream(
                "POST",
                path,
                params=_given(query),
                headers={"Accept": "application/x-ndjson"},
                timeout=httpx.Timeout(60.0, connect=_CONNECT_S),
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._told(answer)
                for line in answer.iter_lines():
                    if line:
                        yield decoder.decode(line)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def download(self, path: str) -> Iterator[bytes]:
        """POST, and yield the answer's bytes as they come.

        Raises:
            Cut: The node broke off before the end.
            NexaError: See `get`.
        """
        try:
            with self._http.stream("POST", path, timeout=_SLOW) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._told(answer)
                yield from answer.iter_bytes()
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise Cut(f"{self.target.url} broke off: {why}") from error

    def upload(
        self,
        path: str,
        chunks: Iterator[bytes],
        kind: type[T],
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Iterator[T]:
        """POST bytes as they come, and yield the answer's lines as they come.

        Raises:
            Cut: The node broke off before the end.
            NexaError: See `get`.
        """
        self._check("POST", path, query)
        decoder = msgspec.json.Decoder(kind)
        headers = {
            "Accept": "application/x-ndjson",
            "Content-Type": "application/octet-stream",
        }
        try:
            with self._http.stream(
                "POST",
                path,
                content=chunks,
                params=_given(query or {}),
                headers=headers,
                timeout=_SLOW,
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._told(answer)
                for line in answer.iter_lines():
                    if line:
                        yield decoder.decode(line)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise Cut(f"{self.target.url} broke off: {why}") from error

    def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> T:
        self._check(method, path, query)
        content = None if body is None else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json"} if content is not None else {}
        try:
            answer = self._http.request(
                method,
                path,
                content=content,
                params=_given(query or {}),
                headers={**sent, **(headers or {})},
                timeout=httpx.Timeout(_ANSWER_S + wait_s, connect=_CONNECT_S),
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if self._on_stale is not None and "nexa-stale" in answer.headers:
            on_stale, self._on_stale = self._on_stale, None
            on_stale()
        if answer.is_error:
            raise self._told(answer)
        if kind is type(None):
            return None  # pyright: ignore[reportReturnType]  # T is None here
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise NexaError(
                f"the node at {self.target.url} answers what this nexa can't read"
                f" ({error})",
                remedy="nexa version; upgrade the older of the two",
            ) from error

    def _check(self, method: str, path: str, query: Mapping[str, Any] | None) -> None:
        if self.target.read_only:
            dry = bool((query or {}).get("dry_run"))
            check_call(method, path, dry_run=dry, source=self.target.source)

    def _told(self, answer: httpx.Response) -> NexaError:
        try:
            error = from_problem(msgspec.json.decode(answer.content, type=Problem))
        except msgspec.DecodeError:
            refused = refusal(answer.content)
            if refused is not None:
                return refused
            return NexaError(
                f"{self.target.url} answers HTTP {answer.status_code} and is no nexa node",
                remedy="nexa node status",
            )
        if isinstance(error, Unauthorized) and error.remedy is None:
            error.remedy = "nexa login, or set NEXA_TOKEN_FILE"
        return error

    def _unreachable(self, error: httpx.TransportError) -> NoNode:
        trouble = trouble_in(error, self.target.url)
        if trouble is not None:
            return NoNode(trouble.why, remedy=trouble.remedy)
        why = str(error) or type(error).__name__
        return NoNode(
            f"no node answers at {self.target.url} ({self.target.source}): {why}",
            remedy="nexa node start; or nexa node status",
        )


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in query.items() if value is not None}
