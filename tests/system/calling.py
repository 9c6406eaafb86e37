"""Clients that call all the time: what they were told, and what went wrong.

A client knows every node. A node that takes no connection any more is no failure: the
client goes on to the next one, as a load balancer would. A connection that was taken and
broke, and an answer that says no, are failures.
"""

import asyncio
import itertools
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from nexa_node.agent import Agent, Deliver, NexaError, Timing

T = TypeVar("T")
SOON = Timing(backoff_base=0.1, backoff_cap=0.5, open_timeout=3.0)
PAUSE_S = 0.15
PATIENCE_S = 30.0


@dataclass
class Seen:
    """What one client saw."""

    calls: int = 0
    moves: int = 0
    """A node was not there, so the next one was asked."""
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list[str])
    submitted: list[str] = field(default_factory=list[str])
    posted: int = 0


class Caller(threading.Thread):
    """Submits, sends and lists in turn, from the first node on, until told to end."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        token: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.seen = Seen()
        self._urls = list(urls)
        self._over = threading.Event()
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_S,
            trust_env=False,
            verify=True if tls is None else tls,
        )

    def run(self) -> None:
        with self._http:
            for number in itertools.count():
                if self._over.is_set():
                    return
                self._round(number)

    def end(self) -> None:
        self._over.set()
        self.join(PATIENCE_S)

    def _round(self, number: int) -> None:
        task = {
            "type": "job",
            "data": number,
            "idempotency_key": f"{self.name}-{number}",
        }
        told = self._call("POST", "/v1/tasks", task)
        if told is not None:
            self.seen.submitted.append(told["id"])
        letter = {"to": {"agent": f"box-{self.name}"}, "type": "note", "data": number}
        if self._call("POST", "/v1/messages", letter) is not None:
            self.seen.posted += 1
        self._call("GET", "/v1/tasks?limit=1", None)
        self._call("GET", "/v1/cluster", None)
        self._over.wait(PAUSE_S)

    def _call(self, method: str, path: str, body: Any) -> Any:
        began = time.monotonic()
        for url in self._ring():
            try:
                answer = self._http.request(method, url + path, json=body)
            except httpx.ConnectError:
                self._urls.append(self._urls.pop(0))
                self.seen.moves += 1
                continue
            except httpx.TransportError as error:
                self._failed(f"{method} {path} at {url}: {error!r}")
                return None
            self.seen.calls += 1
            took = time.monotonic() - began
            self.seen.slowest_s = max(self.seen.slowest_s, took)
            if answer.is_error:
                self._failed(f"{method} {path} at {url}: {answer.text[:300]}")
                return None
            return answer.json()
        self._failed(f"{method} {path}: no node takes a connection")
        return None

    def _ring(self) -> Iterator[str]:
        for _ in range(2 * len(self._urls)):
            yield self._urls[0]

    def _failed(self, what: str) -> None:
        self.seen.failures.append(f"{time.strftime('%H:%M:%S')} {what}")


class Talker(threading.Thread):
    """An agent that submits, sends to itself and looks others up, and counts its letters."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        token: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.seen = Seen()
        self.heard: list[int] = []
        self._over = threading.Event()
        self._agent = Agent(name, url=urls, token=token, timing=SOON, tls=tls)
        self._agent.on_message(self._hear)

    def run(self) -> None:
        asyncio.run(self._talk())

    def end(self) -> None:
        self._over.set()
        self.join(PATIENCE_S)

    async def _hear(self, letter: Deliver) -> None:
        assert isinstance(letter.data, int)
        self.heard.append(letter.data)

    async def _talk(self) -> None:
        async with self._agent as agent:
            for number in itertools.count():
                if self._over.is_set():
                    break
                key = f"{self.name}-{number}"
                submit = agent.submit("job", number, idempotency_key=key)
                self.seen.submitted += [
                    each.id for each in await self._told("submit", submit)
                ]
                send = agent.send(self.name, "note", number)
                self.seen.posted += len(await self._told("send", send))
                await self._told("find", agent.find(limit=1))
                await asyncio.sleep(PAUSE_S)
            async with asyncio.timeout(PATIENCE_S):
                while len(set(self.heard)) < self.seen.posted:
                    await asyncio.sleep(PAUSE_S)

    async def _told(self, what: str, call: Coroutine[Any, Any, T]) -> list[T]:
        began = time.monotonic()
        try:
            answer = await call
        except NexaError as error:
            now = time.strftime("%H:%M:%S")
            self.seen.failures.append(f"{now} {what}: {error!r}")
            return []
        self.seen.calls += 1
        self.seen.slowest_s = max(self.seen.slowest_s, time.monotonic() - began)
        return [answer]


class Callers:
    """Several of each, each with another node first; `with` runs them."""

    def __init__(
        self, urls: Sequence[str], token: str, tls: ssl.SSLContext | None = None
    ) -> None:
        turned = [[*urls[turn:], *urls[:turn]] for turn in range(len(urls))]
        self.talkers = [
            Talker(f"talker-{turn}", ring, token, tls)
            for turn, ring in enumerate(turned)
        ]
        self._all: list[Caller | Talker] = [
            *(Caller(f"c{turn}", ring, token, tls) for turn, ring in enumerate(turned)),
            *self.talkers,
        ]

    def __enter__(self) -> Self:
        for each in self._all:
            each.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._all:
            each.end()

    @property
    def calls(self) -> int:
        return sum(each.seen.calls for each in self._all)

    @property
    def failures(self) -> list[str]:
        return [what for each in self._all for what in each.seen.failures]

    @property
    def submitted(self) -> list[str]:
        return [task for each in self._all for task in each.seen.submitted]

    def heard_in_order(self) -> bool:
        """Whether each letter of every talker was heard, once or again, in order.

        One whose acknowledgement was lost is told again; never one before a sooner one.
        """
        for each in self.talkers:
            first = list(dict.fromkeys(each.heard))
            if first != list(range(each.seen.posted)):
                return False
        return True

    @property
    def slowest_s(self) -> float:
        return max(each.seen.slowest_s for each in self._all)
