"""The agent, as its author sees it."""

import asyncio
import os
import random
import signal
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec

from nexa_node.agent.calls import PATIENCE_S, Calls, new_id
from nexa_node.agent.credentials import (
    URL_VARIABLE,
    TlsSource,
    TokenSource,
    tls_source,
    token_source,
)
from nexa_node.agent.endpoints import Endpoints
from nexa_node.agent.job import Handler
from nexa_node.agent.jobs import Jobs
from nexa_node.agent.link import Dial, Link
from nexa_node.agent.mailbox import Mailbox, MessageHandler
from nexa_node.agent.objects import Objects, reference_in
from nexa_node.agent.relay import Relay
from nexa_node.agent.running import Running
from nexa_node.agent.session import Profile
from nexa_node.agent.signing import Signer, signer_of
from nexa_node.agent.subscriptions import Start, Subscription, Subscriptions
from nexa_node.agent.timing import Timing
from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.agent.watches import Watches
from nexa_node.contract.agents import Capability
from nexa_node.contract.errors import Invalid
from nexa_node.contract.frames import (
    Empty,
    Gap,
    Refresh,
    RequestMessage,
    Subscribed,
    TaskUpdate,
    Unsubscribe,
    Watch,
    Watching,
)
from nexa_node.contract.ids import AgentId, Namespace, TaskId, is_slug
from nexa_node.contract.messages import Address, ObjectRef
from nexa_node.contract.tasks import FINISHED, Json, NewTask, Task, TaskStatus
from nexa_node.contract.version import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL

T = TypeVar("T")
H = TypeVar("H", bound=Handler)
C = TypeVar("C", bound=Callable[[Any], Any])
_ENCODINGS = {"json": JSON_SUBPROTOCOL, "msgpack": MSGPACK_SUBPROTOCOL}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Agent(Calls):
    """A program that connects to a cluster, says what it can do and is given tasks.

    Leases are renewed, pings answered and results delivered on a thread of the agent's
    own: a handler may block its event loop. `run()` makes a whole program an agent;
    `async with agent:` uses the calls inside of another program.

    Example:
        ```python
        agent = Agent("wc-1", slots=2)


        @agent.task("wc")
        async def count(job: Job) -> int:
            return len(str(job.data).split())


        asyncio.run(agent.run())
        ```
    """

    def __init__(  # noqa: PLR0913  # each one is a word of hello or of the connection
        self,
        id: str,  # noqa: A002  # the contract's word
        *,
        url: str | Sequence[str] | None = None,
        token: str | TokenSource | None = None,
        slots: int = 1,
        name: str | None = None,
        version: str | None = None,
        namespace: str | None = None,
        encoding: Literal["json", "msgpack"] = "json",
        grace: float = 10.0,
        tls: ssl.SSLContext | TlsSource | None = None,
        timing: Timing | None = None,
        signer: Signer | None = None,
    ) -> None:
        """Describe the agent; nothing is connected yet.

        Args:
            id: A slug; one process at a time has it.
            url: One node or several, as `http://HOST:6392` or `wss://HOST:6392`; None
                takes `NEXA_URL`, and else this machine's node. A node tells of others.
            token: The token, or something to ask for it before each connection; None
                takes `NEXA_TOKEN`, and else the file named by `NEXA_TOKEN_FILE`.
            slots: How many tasks to take at once.
            name: For people.
            version: The author's own.
            namespace: Another one than the token's.
            encoding: What frames are written in.
            grace: Seconds that running tasks get when the agent stops; then they are
                given back, with no attempt counted.
            tls: To trust other certificates than the system's, or to show one; or
                something to ask for that before each connection; None takes the files
                named by `NEXA_CA_FILE`, `NEXA_CERT_FILE` and `NEXA_KEY_FILE`, if any.
            timing: Time-outs and intervals.
            signer: A key that proves who it is, instead of a token; None takes the one
                of `NEXA_SIGN_FILE` and `NEXA_SIGN_ID`, if any and no token is given.

        Raises:
            Invalid: The id or the namespace is no slug, a URL none of a node, or `slots`
                is below 1.
        """
        for word, slug in (("id", id), ("namespace", namespace)):
            if slug is not None and not is_slug(slug):
                raise Invalid(
                    f"{slug!r} cannot be an agent's {word}",
                    remedy="use a-z, 0-9, - and _; at most 63 characters",
                )
        if slots < 1:
            raise Invalid(f"{slots} slots: an agent has at least one")
        self.id = AgentId(id)
        self.grace = grace
        """Seconds; may be changed until the agent stops."""
        self._timing = timing or Timing()
        self._dial = Dial(
            endpoints=Endpoints(_urls(url)),
            token=token_source(token, os.environ),
            subprotocol=_ENCODINGS[encoding],
            tls=tls_source(tls, os.environ),
            timing=self._timing,
            signer=signer or (None if token else signer_of(os.environ)),
        )
        self._name, self._version, self._slots = name, version, slots
        self._namespace = None if namespace is None else Namespace(namespace)
        self._handlers: dict[str, Handler] = {}
        self._capabilities: list[Capability] = []
        self._on_message: MessageHandler | None = None
        self._subscriptions = Subscriptions()
        self._watches = Watches()
        self._on_gap: list[Callable[[Gap], None]] = []
        self._on_connection: list[Callable[[Connected | Disconnected], None]] = []
        self._running: Running | None = None

    # -- what it can do --------------------------------------------------------

    def task(
        self,
        capability: str,
        *,
        version: str | None = None,
        labels: dict[str, str] | None = None,
        weight: float = 1.0,
    ) -> Callable[[H], H]:
        """Register the decorated function as the handler of a kind of task.

        It gets a `Job`, and returns the result or raises `Failed`. A coroutine runs on
        the loop of `run()`, any other function in a thread of its own. An exception that
        is no `Failed` fails the attempt, which may be tried again.

        Args:
            capability: What tasks call it; a slug.
            version: Of the capability.
            labels: For those who look for agents.
            weight: Its share of the work among agents with the same capability.

        Raises:
            Invalid: The name is no slug, is taken, or the agent runs already.
        """
        if not is_slug(capability):
            raise Invalid(
                f"{capability!r} cannot be a capability",
                remedy="use a-z, 0-9, - and _; at most 63 characters",
            )
        if capability in self._handlers:
            raise Invalid(f"{capability!r} has a handler already")
        self._must_be_idle()
        described = Capability(
            name=capability, version=version, labels=labels or {}, weight=weight
        )

        def register(handler: H) -> H:
            self._handlers[capability] = handler
            self._capabilities.append(described)
            return handler

        return register

    def on_message(self, handler: MessageHandler) -> MessageHandler:
        """Register the handler of messages (a decorator).

        It gets one `Deliver` after the other. When it returns, the message is
        acknowledged, and if somebody waits for an answer, what it returned is the
        answer. When it raises, the message comes again later; `Later` says when, and
        `Drop` that it never should.
        """
        self._must_be_idle()
        self._on_message = handler
        return handler

    def on_topic(
        self, topic: str, *, start: Start = "new"
    ) -> Callable[[MessageHandler], MessageHandler]:
        """Register the handler of a topic's messages (a decorator).

        Args:
            topic: Dotted slugs; `*` stands for one of them, a final `>` for the rest.
            start: Where the first session begins; later ones go on where it ended.
        """
        self._must_be_idle()

        def register(handler: MessageHandler) -> MessageHandler:
            self._subscriptions.add(Subscription(topic, start, handler))
            return handler

        return register

    def on_gap(self, callback: C) -> C:
        """Register who is told of messages that are gone (a decorator)."""
        self._on_gap.append(callback)
        return callback

    def on_connection(self, callback: C) -> C:
        """Register who is told when a connection comes or goes (a decorator)."""
        self._on_connection.append(callback)
        return callback

    # -- life ------------------------------------------------------------------

    async def run(self, *, signals: bool = True) -> None:
        """Be an agent until `stop()`, SIGTERM or SIGINT.

        Then nothing new is taken, what runs may end within `grace` seconds, the rest is
        given back, and the session ends in order. A second signal ends the grace.

        Args:
            signals: Whether to handle the signals; only possible in the main thread.

        Raises:
            NexaError: The agent must not go on: the token is no good, another process
                has this id, the node speaks another version.
        """
        async with self:
            restore = self._handle_signals() if signals else _nothing
            try:
                await self.stopped()
            finally:
                restore()

    def stop(self) -> None:
        """Begin to stop, or if it has begun, end the grace. From the loop of `run()`."""
        if self._running is not None:
            self._running.stop()

    async def stopped(self) -> None:
        """Wait until the agent is to stop.

        Raises:
            NexaError: Why it cannot go on.
        """
        running = self._alive()
        await running.stopping.wait()
        if running.error is not None:
            raise running.error

    async def refresh(self, token: str) -> None:
        """Show the node a newer token before the old one expires.

        Later connections ask for the token again, where `__init__` was told to.
        """
        await self.call("session.refresh", Refresh(token=token), Empty)

    async def call(
        self, method: str, params: Any, result: type[T], *, patience: float = PATIENCE_S
    ) -> T:
        """See `Calls.call`. For use inside of `run()` or `async with agent:`."""
        link = self._alive().link
        coroutine = link.line.call(method, params, result, patience=patience)
        return await link.ask(coroutine)

    async def request(
        self,
        to: str | Address,
        type: str,  # noqa: A002  # CloudEvents' word
        data: Json = None,
        *,
        timeout: float = 30.0,
        durable: bool = False,
    ) -> Json:
        """See `Calls.request`."""
        message = RequestMessage(
            to=Address(agent=AgentId(to)) if isinstance(to, str) else to,
            type=type,
            data=data,
            id=new_id(),
            durable=durable,
            timeout_ms=max(1, round(timeout * 1000)),
        )
        link = self._alive().link
        patience = timeout + self._timing.call_timeout
        any_json: Any = Any
        return await link.ask(
            link.line.once("message.request", message, any_json, patience=patience)
        )

    async def subscribe(
        self, topic: str, handler: MessageHandler, *, start: Start = "new"
    ) -> Subscription:
        """Listen to a topic from now on; for use while the agent runs.

        Raises:
            NexaError: The node refuses it.
        """
        subscription = Subscription(topic, start, handler)
        self._subscriptions.add(subscription)
        try:
            await self._subscriptions.begin(subscription, self.call)
        except BaseException:
            self._subscriptions.remove(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Listen to it no more."""
        if subscription.ended:
            return
        named = subscription.id
        self._subscriptions.remove(subscription)
        if named is not None:
            params = Unsubscribe(subscription=named)
            await self.call("topic.unsubscribe", params, Subscribed)

    async def watch(
        self,
        task_id: str | None = None,
        *,
        type: str | None = None,  # noqa: A002  # the contract's word
        parent: str | None = None,
        status: TaskStatus | None = None,
    ) -> AsyncGenerator[TaskUpdate]:
        """See `Calls.watch`."""
        wanted = Watch(
            id=None if task_id is None else TaskId(task_id),
            type=type,
            parent=None if parent is None else TaskId(parent),
            status=status,
        )
        while True:
            before = self._watches.connections
            watching = await self.call("task.watch", wanted, Watching)
            if self._watches.connections != before:
                continue  # it may be a watch of the connection that was lost
            updates = self._watches.open(watching.watch)
            try:
                if watching.task is not None:
                    yield TaskUpdate(watch=watching.watch, task=watching.task)
                    if watching.task.status in FINISHED:
                        return
                while (update := await updates.get()) is not None:
                    yield update
                    if task_id is not None and update.task.status in FINISHED:
                        return
            finally:
                self._watches.close(watching.watch)

    async def _submit_and_watch(self, task: NewTask, *, timeout: float) -> Task:
        """Submit and be told the end by one call, unless the connection is lost."""
        if task.id is None:  # only the node knows what its key makes of it
            return await super()._submit_and_watch(task, timeout=timeout)
        watched = msgspec.structs.replace(task, watch=True)
        updates = self._watches.open(task.id)
        ends = asyncio.get_running_loop().time() + timeout
        try:
            await self.submit(watched)
            async with asyncio.timeout_at(ends):
                while (update := await updates.get()) is not None:
                    if update.task.status in FINISHED:
                        return update.task
        except TimeoutError:
            pass
        finally:
            self._watches.close(task.id)
        left = ends - asyncio.get_running_loop().time()
        return await self.result(task.id, timeout=max(left, 0.0))

    async def put(self, content: bytes) -> ObjectRef:
        """Keep data that is too large for a frame; send what is returned as `data`."""
        return await self._objects().put(content)

    async def fetch(self, reference: ObjectRef | Mapping[str, Any]) -> bytes:
        """Read back what a claim check in some `data` stands for.

        Raises:
            Invalid: It is none.
            NotFound: It is not kept any more.
        """
        held = (
            reference if isinstance(reference, ObjectRef) else reference_in(reference)
        )
        if held is None:
            raise Invalid("this is no claim check: it has no $ref, size and sha256")
        return await self._objects().get(held)

    def _objects(self) -> Objects:
        dial = self._dial
        return Objects(dial.endpoints.current, dial.token(), dial.tls())

    def _connection_changed(self, change: Connected | Disconnected) -> None:
        self._watches.connection(change)
        if self._subscriptions.forget_session(change):
            self._alive().spawn(self._subscriptions.take_up(self.call))

    async def __aenter__(self) -> Self:
        """Begin to connect; returns at once, calls wait for the connection."""
        self._must_be_idle()
        loop = asyncio.get_running_loop()
        relay = Relay(loop)
        profile = Profile(
            id=self.id,
            incarnation=new_id(),
            capabilities=tuple(self._capabilities),
            slots=self._slots,
            name=self._name,
            version=self._version,
            namespace=self._namespace,
        )
        link = Link(profile, self._dial, relay, chance=random.Random())
        self._running = Running(link, Jobs(self._handlers, link), self._timing)
        mailbox = Mailbox(
            self._on_message,
            self._subscriptions,
            link.letters,
            link.post,
            self.reply,
        )
        self._running.listen(relay, mailbox)
        relay.on_updated.append(self._watches.put)
        relay.on_connection.append(self._connection_changed)
        relay.on_connection.extend(self._on_connection)
        relay.on_gap.extend(self._on_gap)
        link.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop as `run()` does."""
        running = self._alive()
        try:
            await running.finish(self.grace)
        finally:
            self._running = None

    def _handle_signals(self) -> Callable[[], None]:
        if threading.current_thread() is not threading.main_thread():
            return _nothing
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)

        def restore() -> None:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

        return restore

    def _alive(self) -> Running:
        if self._running is None:
            raise Invalid(
                "the agent does not run",
                remedy="call it inside of `async with agent:` or while `run()` runs",
            )
        return self._running

    def _must_be_idle(self) -> None:
        if self._running is not None:
            raise Invalid("the agent runs already; register everything before")


def _urls(url: str | Sequence[str] | None) -> list[str]:
    if url is None:
        url = os.environ.get(URL_VARIABLE, "")
    if isinstance(url, str):
        return [part for part in url.replace(",", " ").split() if part]
    return list(url)


def _nothing() -> None:
    pass
