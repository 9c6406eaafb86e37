"""Questions from one node to another: core NATS requests, nothing is stored.

    nx.call.<node>.<what>

An answer begins with one byte: `+` and the answer, or `-` and the error as a `Problem`,
which is made anew where it was asked. Without an answer it is unknown whether the
question was heard: whoever asks must be able to ask again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from nexa_node.adapters.nats import topology
from nexa_node.adapters.nats.connection import Connection
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.session import Lost, NoResponders, Session
from nexa_node.contract.errors import (
    NexaError,
    Problem,
    RateLimited,
    Unavailable,
    from_problem,
    problem,
)
from nexa_node.ports import Handler

CALL_PREFIX = "nx.call"
AT_ONCE = 64
"""Questions of one kind that are answered at the same time; more are refused."""
PATIENCE_S = 0.3
"""How long a node that nobody answers for is looked for: after a reconnect it takes the
servers a moment to know where it is."""
_PAUSE_S = 0.05
_GOOD, _BAD = b"+", b"-"

_log = structlog.get_logger("nexa.store")
_problems = msgspec.json.Decoder(Problem)


class NatsNodeCalls:
    """`ports.NodeCalls`."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Serve nothing yet.

        Args:
            spawn: Runs an answer in the background; `Background.spawn`.
        """
        self._spawn = spawn
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._handlers: dict[str, Handler] = {}
        self._running: dict[str, int] = {}

    def use(self, connection: Connection) -> None:
        """Ask over `connection`."""
        self._connection = connection

    def attach(self, session: Session) -> None:
        """Serve on a new session."""
        self._session = session
        for subject in self._handlers:
            self._listen(session, subject)

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        """Ask `node` for `what`; its answer.

        Raises:
            NexaError: The one its handler raised, made anew here.
            Unavailable: Nobody of that name answers; it may have heard all the same.
        """
        subject = topology.subject(CALL_PREFIX, node, what)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        patience = min(until, loop.time() + PATIENCE_S)
        while True:
            session = await self._open().session(until)
            try:
                heard = await session.request(subject, payload, until=until)
            except NoResponders as error:
                if loop.time() + _PAUSE_S >= patience:
                    raise _silent(node, what, "nobody of that name is heard") from error
                await asyncio.sleep(_PAUSE_S)
            except (Lost, TimeoutError) as error:
                told = f"no answer within {timeout_s:g} s; it may have been done"
                raise _silent(node, what, told) from error
            else:
                return _read(node, what, heard.data)

    def serve(self, node: str, what: str, handler: Handler) -> None:
        """Be `node`: answer `what` by `handler` from now on, whatever reconnects."""
        subject = topology.subject(CALL_PREFIX, node, what)
        is_new = subject not in self._handlers
        self._handlers[subject] = handler
        if is_new and self._session is not None and not self._session.is_lost:
            self._listen(self._session, subject)

    def _listen(self, session: Session, subject: str) -> None:
        def asked(heard: Msg) -> None:
            self._spawn(self._answer(session, subject, heard))

        session.listen(subject, asked)

    async def _answer(self, session: Session, subject: str, heard: Msg) -> None:
        answer = await self._handle(subject, heard.data)
        try:
            session.check(answer)
        except Lost:
            return
        except NexaError as error:
            answer = _refusal(error)
        session.answer(heard, answer)

    async def _handle(self, subject: str, payload: bytes) -> bytes:
        running = self._running.get(subject, 0)
        if running >= AT_ONCE:
            return _refusal(
                RateLimited(f"{AT_ONCE} calls of {subject} are being answered already")
            )
        self._running[subject] = running + 1
        try:
            return _GOOD + await self._handlers[subject](payload)
        except NexaError as error:
            return _refusal(error)
        except Exception as error:  # noqa: BLE001  the asker is told, whatever it was
            _log.error("a node's call failed", subject=subject, exc_info=error)
            told = f"{subject} failed: {type(error).__name__}"
            return _refusal(NexaError(told, remedy="nexa logs on that node"))
        finally:
            self._running[subject] -= 1

    def _open(self) -> Connection:
        if self._connection is None:
            raise Unavailable("the store is not open")
        return self._connection


def _refusal(error: NexaError) -> bytes:
    return _BAD + msgspec.json.encode(problem(error), enc_hook=repr)


def _read(node: str, what: str, answer: bytes) -> bytes:
    mark, told = answer[:1], answer[1:]
    if mark == _GOOD:
        return told
    try:
        if mark == _BAD:
            raise from_problem(_problems.decode(told))
    except msgspec.DecodeError:
        pass
    raise Unavailable(
        f"{node} answers {what} in words unknown here",
        remedy="the two nodes run different versions: update the older one",
    )


def _silent(node: str, what: str, why: str) -> Unavailable:
    return Unavailable(
        f"{node} did not answer {what}: {why}",
        remedy="nexa cluster status says how it is",
        retry_after_ms=500,
    )
