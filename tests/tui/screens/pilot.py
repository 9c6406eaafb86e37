"""A console to press keys on: recorded node, clock that is turned by hand, own folder."""

# pyright: reportPrivateUsage=false
# What a person sees is not all public in Textual.

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from textual.events import Key
from textual.pilot import Pilot
from textual.widget import Widget

from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import NexaError
from nexa_node.contract.events import FeedFrame, Snapshot
from nexa_tui.actions import BY_ID, Keymap
from nexa_tui.app.console import Console
from nexa_tui.client.api import FeedNews, Received
from nexa_tui.client.clock import FixedClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.replay import Recorded, Replay
from nexa_tui.screens.dashboard import Dashboard
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.session import Doors, Session
from nexa_tui.screens.splash import Splash
from nexa_tui.screens.user_actions import UserAction, actions_of
from nexa_tui.settings import ConsoleOptions, ConsoleSettings, read_settings
from nexa_tui.theming import Terminal
from nexa_tui.widgets.table import Table
from tests.builders import NOW
from tests.tui import alarms, figures, traffic
from tests.tui.scenes import AT, CHECKS, TARGET, picture, tasks, whole_task

USUAL, SMALL, TINY = (120, 40), (80, 24), (40, 12)
BEAT_S = 0.1
PATIENCE_S = 10.0
_BY_KEYS = frozenset(("go", "detail", "default", "deed"))
"""Groups of work that a key begins and that ends by itself."""
NAMES = {
    "!": "exclamation_mark", ":": "colon", "^": "circumflex_accent", "-": "minus", "+": "plus",
    "[": "left_square_bracket", "]": "right_square_bracket",
    " ": "space", "/": "slash", ".": "full_stop", "(": "left_parenthesis", "@": "at",
    "*": "asterisk", "{": "left_curly_bracket", "}": "right_curly_bracket",
    '"': "quotation_mark", "_": "underscore", "$": "dollar_sign",
    "?": "question_mark", ",": "comma", "<": "less_than_sign", ">": "greater_than_sign",
}  # fmt: skip


def key_of(key: str) -> str:
    """Textual's name of a key that a test may name by its character."""
    return key if len(key) != 1 or key.isalnum() else NAMES[key]


class Stage:
    """One console and everything around it that a test turns or looks at."""

    def __init__(
        self,
        *news: FeedNews,
        home: Path,
        node: bool = True,
        splash: bool = False,
        checks: Sequence[CheckResult] = CHECKS,
        hold: bool = False,
        refusal: NexaError | None = None,
        keys: dict[str, str] | None = None,
        terminal: Terminal | None = None,
        problem: NexaError | None = None,
        environ: dict[str, str] | None = None,
        own: dict[str, UserAction] | None = None,
        **options: Any,
    ) -> None:
        """Prepare; without `news` the node tells of a cluster at work.

        Args:
            news: What the feed tells at once.
            home: `NEXA_HOME`.
            node: Whether a node is attached.
            splash: Whether the console begins with the self-test.
            checks: What the self-test tells, here or on the node.
            hold: Whether the self-test of this machine ends only at `release`.
            refusal: Raised by the node at every change.
            keys: As in `console.toml`.
            terminal: What it can show; a good one if not given.
            problem: What is wrong with `console.toml`.
            environ: More of the environment.
            own: The operator's own actions.
            options: As on the command line.
        """
        self.clock = FixedClock(NOW, monotonic=AT + 0.4)
        self.home = home
        self.checks = checks
        self.release = asyncio.Event()
        if not hold:
            self.release.set()
        self.ran: list[str | None] = []
        """What this machine was asked to check."""
        self.nodes: list[Replay] = []
        """Every node that was attached, the newest last."""
        self._news = news or (Received(picture(), AT),)
        self._refusal = refusal
        self.session = Session(
            ConsoleOptions(
                environ={"NEXA_HOME": str(home), **(environ or {})},
                no_splash=not splash,
                **options,
            ),
            Doors(self.clock, self._connect, self._check_here),
            Keymap(keys, own=actions_of(own or {})),
        )
        self.session.own = own or {}
        if node:
            self.session.attach(TARGET)
        self.console = Console(
            self.session,
            ConsoleSettings(refresh_s=BEAT_S),
            problem=problem,
            terminal=terminal or Terminal(ascii_only=False),
        )

    def read(self) -> ConsoleSettings:
        """What `console.toml` says."""
        environ = self.session.options.environ
        return read_settings(environ, actions=frozenset(BY_ID), refused=frozenset())

    @property
    def node(self) -> Replay:
        """The node that is attached."""
        return self.nodes[-1]

    def tell(self, *frames: FeedFrame, at: float = AT) -> None:
        """Let the node say more."""
        for frame in frames:
            self.node.tell(Received(frame, at))

    @asynccontextmanager
    async def open(self, size: tuple[int, int] = USUAL) -> AsyncGenerator["Hand", None]:
        """Run the console until the block ends."""
        async with self.console.run_test(size=size) as pilot:
            hand = Hand(self, pilot)
            await hand.until(lambda: self.console.screen.id in {"splash", "dashboard"})
            if self.session.options.no_splash and self.session.client is not None:
                await hand.until(lambda: not self._opening())
            await hand.rest()
            yield hand

    def _opening(self) -> bool:
        return type(self.session.state.link).__name__ == "Opening"

    def _connect(self, target: Target) -> Replay:
        self.nodes.append(
            Replay(
                target,
                news=self._news,
                recorded=Recorded(
                    checks=tuple(self.checks),
                    tasks=tuple(whole_task(one) for one in tasks()),
                    alerts=alarms.RECORDED,
                    silences=alarms.SILENCES,
                    rules=alarms.RULES,
                    audit=alarms.AUDIT,
                    tokens=alarms.TOKENS,
                    roles=alarms.ROLES,
                    namespaces=alarms.NAMESPACES,
                    logs=traffic.LOGS,
                    posted=traffic.POSTED,
                    dead=traffic.DEAD,
                    series=figures.RECORDED,
                ),
                refusal=self._refusal,
            )
        )
        return self.nodes[-1]

    async def _check_here(self, only: str | None) -> AsyncIterator[CheckResult]:
        self.ran.append(only)
        for one in self.checks:
            if only in {None, one.id}:
                yield one
        await self.release.wait()


class Hand:
    """Presses keys and looks."""

    def __init__(self, stage: Stage, pilot: Pilot[Any]) -> None:
        """Lay a hand on a running console."""
        self.stage = stage
        self.pilot = pilot
        self.app = stage.console

    async def press(self, *keys: str) -> None:
        """Press keys one after the other and let each be carried out."""
        for key in keys:
            self._send(key)
            await self.rest()

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait for something to come true."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await self.pilot.pause(0.005)
        except TimeoutError:
            raise AssertionError(f"never came true: {what}\n{self.seen()}") from None

    async def until_seen(self, *words: str) -> None:
        """Wait until all words are on the screen."""
        await self.until(lambda: all(w in self.seen() for w in words), repr(words))

    async def until_told(self, words: str) -> None:
        """Wait for a message that holds the words."""
        await self.until(lambda: any(words in one for one in self.told()), words)

    async def rest(self) -> None:
        """Let everything that was begun by a key come to its end.

        Textual's own pause waits until the process uses no processor, which takes
        seconds where many tests share one; messages and workers can be counted.
        """
        for _ in range(4):
            await self.pilot.pause(0)
        for one in list(self.app.workers):
            if one.group in _BY_KEYS:
                await self.until(lambda one=one: one.is_finished, one.group)
        for _ in range(2):
            await self.pilot.pause(0)

    def _send(self, key: str) -> None:
        name = key_of(key)
        driver = self.app._driver
        assert driver is not None
        printed = {known: char for char, known in NAMES.items()}
        char = name if len(name) == 1 else printed.get(name)
        event = Key(name, char)
        event.set_sender(self.app)
        driver.send_message(event)

    def seen(self) -> str:
        """The text of the screen on top."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    def told(self) -> list[str]:
        """The messages that are shown."""
        return [one.message for one in self.app._notifications]

    @property
    def top(self) -> str:
        """The kind of the screen on top; nothing while it is being made."""
        screen = self.app.screen
        return type(screen).__name__ if screen.is_mounted else ""

    @property
    def dashboard(self) -> Dashboard:
        """The dashboard, wherever it is."""
        return next(s for s in self.app.screen_stack if isinstance(s, Dashboard))

    @property
    def splash(self) -> Splash:
        """The splash on top."""
        assert isinstance(self.app.screen, Splash)
        return self.app.screen

    @property
    def where(self) -> str:
        """The view that is seen: `view-tasks`."""
        view = self.dashboard.view
        assert isinstance(view, Widget)
        return view.id or ""

    @property
    def list(self) -> ListView[Any]:
        """The list that is seen."""
        view = self.dashboard.view
        assert isinstance(view, ListView)
        return cast("ListView[Any]", view)

    @property
    def table(self) -> Table:
        """The rows of the list that is seen."""
        return self.list.table

    def rows(self) -> Sequence[str]:
        """The keys of the rows that are listed, in their order."""
        return [self.table.line_key(n) for n in range(self.table.line_count())]


def later(seq: int = 1, **overrides: Any) -> Snapshot:
    """A picture that comes after a gap."""
    return picture(seq=seq, **overrides)
