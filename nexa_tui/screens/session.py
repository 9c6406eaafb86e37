"""What the console works on: one node, what is known of it, and what was asked of it.

No widget and no terminal in here. Frames of the feed wait until they are taken in, all
at once, when the screen is about to be drawn: a burst costs one change. Intent goes the
other way, and what is shown afterwards is the node's answer, never a hope.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import msgspec

from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import Forbidden, NexaError
from nexa_node.contract.events import FeedFrame
from nexa_node.contract.nodes import Node
from nexa_tui.actions import Action, Keymap, needs_node, permitted
from nexa_tui.client.api import (
    Connecting,
    FeedNews,
    Lost,
    NodeClient,
    Received,
    Refused,
)
from nexa_tui.client.clock import Clock
from nexa_tui.client.discovery import Target
from nexa_tui.screens.user_actions import UserAction
from nexa_tui.settings import ConsoleOptions
from nexa_tui.state import splash
from nexa_tui.state.formats import age
from nexa_tui.state.rewind import Past, Picture
from nexa_tui.state.store import (
    ClusterState,
    Denied,
    Gone,
    Live,
    NoNode,
    Opening,
    apply_all,
    relink,
)
from nexa_tui.state.text import clean

Connect = Callable[[Target], NodeClient]
CheckHere = Callable[[str | None], AsyncIterator[CheckResult]]
PENDING_MAX = 20_000
"""Frames that may wait for the screen; then they are taken in at once."""


class Doors(msgspec.Struct):
    """How the session reaches the world; tests and scenes bring their own."""

    clock: Clock
    connect: Connect
    check_here: CheckHere
    rng: random.Random = msgspec.field(default_factory=random.Random)


class Session:
    """One console's work."""

    def __init__(self, options: ConsoleOptions, doors: Doors, keymap: Keymap) -> None:
        """Begin with nothing attached."""
        self.options = options
        self.keymap = keymap
        self.clock = doors.clock
        self._doors = doors
        self.client: NodeClient | None = None
        self.state = ClusterState()
        self.run = splash.Run()
        self.started: list[Target] = []
        """Nodes that this console started."""
        self.starting: str | None = None
        """How far a node's start is, in words; None if none is starting."""
        self.start_error: NexaError | None = None
        self._held: Picture | None = None
        self._past = Past()
        self._pending: list[FeedFrame] = []
        self._pending_at = 0.0
        self._left: list[NodeClient] = []
        """Nodes that were turned away from; their connections are to be closed."""
        self.own: Mapping[str, UserAction] = {}
        """Actions that an operator added, by their ids in the keymap."""
        self.link_rate: float | None = None
        """Bytes a second to the terminal; None while nobody wants to see it."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when something came that should be seen at once."""

    @property
    def target(self) -> Target | None:
        """The node that is watched."""
        return self.client.target if self.client else None

    @property
    def now(self) -> float:
        """The time on the clock of ages."""
        return self.clock.monotonic()

    @property
    def read_only(self) -> bool:
        """Whether nothing may be changed from here."""
        target = self.target
        return self.options.read_only or (target is not None and target.read_only)

    @property
    def role(self) -> str | None:
        """What the token may do; None before the node said so."""
        return self.state.node.role if self.state.node else None

    @property
    def paused(self) -> bool:
        """Whether the picture is held."""
        return self._held is not None

    @property
    def shown(self) -> ClusterState:
        """What is to be seen: the newest, or the picture that is held."""
        return self._held.state if self._held is not None else self.state

    @property
    def shown_at(self) -> float:
        """The time at which that was so, on the clock of ages."""
        return self._held.at if self._held is not None else self.now

    def may(self, action: Action) -> bool:
        """Say whether an action would be allowed."""
        return permitted(action, role=self.role, read_only=self.read_only)

    def missing(self, action: Action) -> str | None:
        """Say why an action can't reach its node now; None while it can."""
        if not needs_node(action) or action.id in self.own:
            return None
        target, state = self.target, self.state
        if target is None:
            return "there is no node; :attach chooses one"
        name, link = clean(target.name, 60), state.link
        if isinstance(link, Denied):
            return f"{name} refused this console: {clean(link.error.message, 120)}"
        if isinstance(link, Live) and not state.stale(self.now):
            return None
        heard = state.age(self.now)
        if heard is None:
            return f"{name} was not reached yet"
        return f"nothing heard from {name} for {age(heard).strip()}; ^r tries again now"

    def connect(self, target: Target) -> NodeClient:
        """A node to ask beside the one that is watched; whoever asks closes it."""
        return self._doors.connect(self._guarded(target))

    def _guarded(self, target: Target) -> Target:
        return replace(target, read_only=True) if self.options.read_only else target

    def attach(self, target: Target) -> None:
        """Turn to a node; what was known of another is forgotten.

        The connections to the other are closed when the new feed begins.
        """
        self._leave()
        self.start_error = None
        self.client = self._doors.connect(self._guarded(target))
        self.state = ClusterState(link=Opening(target.url))

    def detach(self) -> None:
        """Turn away from the node; `close` closes the connections."""
        self._leave()
        self.client = None
        self.state = ClusterState(link=NoNode())

    async def close(self) -> None:
        """Let go of the connections to every node that was turned away from."""
        while self._left:
            await self._left.pop().close()

    def pause(self) -> None:
        """Hold the picture, or let it go on; data is collected all the same."""
        self._held = None if self.paused else Picture(self.now, self.state, 0)

    def rewind(self, by_s: float) -> float | None:
        """Hold the picture of a while before, or after, the one that is shown.

        Args:
            by_s: Seconds; negative goes back.

        Returns:
            How many seconds ago that was so; None if nothing was seen yet.
        """
        wanted = self.shown_at + by_s
        if wanted >= self.now:
            if not self.paused:
                return None if self.state.empty else 0.0
            self._held = Picture(self.now, self.state, 0)
            return 0.0
        found = self._past.find(wanted)
        if found is None:
            return None
        self._held = found
        return self.now - found.at

    def take_in(self) -> None:
        """Let what came change what is known."""
        if self._pending:
            frames, self._pending = self._pending, []
            self.state = apply_all(self.state, frames, at=self._pending_at)
            self._past.keep(self.state, self._pending_at)

    async def watch(self) -> None:
        """Follow the node's feed until it is refused or the task is cancelled."""
        await self.close()
        client = self.client
        if client is None:
            return
        async for news in client.feed():
            if self.client is not client:
                return
            self._hear(news)

    async def check(self, only: str | None = None) -> None:
        """Run the self-test, on the node if there is one, else on this machine."""
        client = self.client
        where = client.target.name if client else "here"
        self.run = (
            splash.again(self.run, self.now, only=only)
            if self.run.checks and self.run.where == where
            else splash.begin(self.now, where=where)
        )
        error: NexaError | None = None
        try:
            async for result in self._results(client, only):
                if self.client is client:
                    self.run = splash.take(self.run, result, self.now)
        except Forbidden as refused:
            error = None if self._recorded() else refused
        except NexaError as failed:
            error = failed
        if self.client is client:  # else it is another node's run by now
            self.run = splash.finish(self.run, self.now, error)
            self.on_news()

    def node(self) -> Node | None:
        """The node that is watched, as its cluster sees it."""
        status, cluster = self.state.node, self.state.cluster
        if status is None or cluster is None:
            return None
        return next((node for node in cluster.nodes if node.id == status.id), None)

    def _leave(self) -> None:
        if self.client is not None:
            self._left.append(self.client)
        self._held = None
        self._past.forget()
        self._pending.clear()

    def _results(
        self, client: NodeClient | None, only: str | None
    ) -> AsyncIterator[CheckResult]:
        if client is None:
            return self._doors.check_here(only)
        return client.selftest(only=only)

    def _recorded(self) -> bool:
        """Take the node's latest run, for those who may look and not run."""
        self.take_in()
        latest = self.state.selftest
        if latest is None:
            return False
        for result in latest.checks:
            self.run = splash.take(self.run, result, self.now)
        return True

    def _hear(self, news: FeedNews) -> None:
        match news:
            case Received(frame, at):
                self._pending.append(frame)
                self._pending_at = at
                opened = not isinstance(self.state.link, Live)
                if opened or len(self._pending) > PENDING_MAX:
                    self.take_in()
                if opened:
                    self.on_news()
                return
            case Connecting(target, attempt):
                self._relink(Opening(target.url, attempt))
            case Lost(why, remedy, retry_at, attempt):
                mend = self._demo_mend() or remedy
                self._relink(Gone(why, mend, retry_at, self.now, attempt))
            case Refused(error):
                self._relink(Denied(error))
        self.on_news()

    def _demo_mend(self) -> str | None:
        """What helps in a demo, where a node of one's own would be another one's."""
        if "NEXA_DEMO" not in self.options.environ:
            return None
        cluster = self.state.cluster
        if cluster is not None and len(cluster.nodes) > 1:
            return "wait: the console turns to another of the demo's nodes"
        return "q, then nexa demo: a demo's only node is not started again"

    def _relink(self, link: Opening | Gone | Denied) -> None:
        self.take_in()
        self.state = relink(self.state, link)
