"""The application: screens, the beat that keeps them fresh, and the end of it all.

One direction: the feed tells the session, the beat takes it in and shows the screen that
is seen. Nothing but what the first frame needs is imported before it.
"""

import asyncio
import gc
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from nexa_node.contract import places
from nexa_node.contract.errors import NexaError
from nexa_tui.actions import BY_ID
from nexa_tui.app.crash import last_words, write_crash
from nexa_tui.app.desk import DeskApp
from nexa_tui.app.stopping import take_in_turn
from nexa_tui.client.discovery import discover
from nexa_tui.client.places import base_folders
from nexa_tui.client.threads import beside
from nexa_tui.screens.keys import chosen
from nexa_tui.screens.narrow import Narrow, too_small
from nexa_tui.screens.ringing import Ringing
from nexa_tui.screens.session import Session
from nexa_tui.screens.splash import Splash
from nexa_tui.settings import SLOW_REFRESH_S, ConsoleSettings
from nexa_tui.state.store import Live
from nexa_tui.theming import DEFAULT_THEME, Terminal, Themes
from nexa_tui.widgets.dressed import DressedApp

_FREEZE_S = 1.5
"""When everything is there that the start makes: the collector may work again."""
_SPLASH_BEAT_S = 0.1


class Console(DeskApp):
    """The console."""

    TITLE = "nexa"
    CSS_PATH: ClassVar[list[Path | str]] = [
        cast("Path", DressedApp.CSS_PATH),
        Path(__file__).parents[1] / "screens.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            ",".join(BY_ID["leave"].keys),
            "leave",
            show=False,
            priority=True,
            id="leave",
        )
    ]
    """From anywhere: out of a dialog and a field, too."""
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [
        (0, "-narrow"),
        (80, "-normal"),
        (120, "-wide"),
        (160, "-huge"),
    ]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [
        (0, "-low"),
        (20, "-high"),
        (36, "-tall"),
    ]

    def __init__(
        self,
        session: Session,
        settings: ConsoleSettings,
        *,
        problem: NexaError | None = None,
        themes: Themes | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        """Make ready; nothing is drawn or asked yet.

        Args:
            session: What to work on.
            settings: What the operator wants.
            problem: Why `settings` are only the defaults; told on the screen.
            themes: Where themes come from; our own if not given.
            terminal: What the terminal can show; judged if not given.
        """
        wanted = session.options.theme or settings.theme or DEFAULT_THEME
        super().__init__(session, themes=themes, theme=wanted, terminal=terminal)
        self.settings = settings
        self._ringing = Ringing(session, self.tell, self._ring)
        self._problem = problem
        self.failed: BaseException | None = None
        self._crash: Path | None = None
        self._begun = False
        self._weighed, self._weighed_at = 0, session.now
        self.set_keymap(chosen(session.keymap))

    # The beginning.

    def get_default_screen(self) -> Screen[None]:
        """Ours is the first screen, not one on top of an empty one."""
        self._find_node()
        options = self.session.options
        if options.no_splash:
            return self._new_dashboard(options.first)
        return Splash(self.session)

    def on_mount(self) -> None:
        """Everything else comes after the first screen was painted."""
        take_in_turn(asyncio.get_running_loop())
        self.session.on_news = self._refresh_now
        for action in self.session.keymap.own:
            if action.keys:
                self.bind(",".join(action.keys), f"do('{action.id}')", show=False)
        self.call_after_refresh(self._begin)

    def _find_node(self) -> None:
        options = self.session.options
        if self.session.client is not None:
            return
        try:
            target = discover(
                options.environ, context=options.context, attach=options.attach
            )
            if target is not None and target.login is not None:
                from nexa_tui.client.logins import renewed

                target = renewed(options.environ, target)
        except NexaError as error:
            self.session.start_error = error
        else:
            if target is not None:
                self.session.attach(target)

    def _begin(self) -> None:
        """Work begins behind the first frame."""
        if self._begun:
            return
        self._begun = True
        if self.session.client is not None:
            self.begin(self.session.watch, group="feed")
        elif self.session.options.start:
            self._deeds.do("start-node")
        if isinstance(self.screen, Splash):
            self.begin(self.session.check, group="check")
        slow = self.session.options.slow_link or self.settings.slow_link
        every_s = self.settings.refresh_s
        self.set_interval(max(every_s, SLOW_REFRESH_S) if slow else every_s, self._beat)
        self.set_interval(_SPLASH_BEAT_S, self._splash_beat)
        self.set_timer(_FREEZE_S, _collect_again)
        self.begin(partial(beside, _import_the_rest), group="imports")
        if self.theme_problem is not None:
            self.tell(str(self.theme_problem), severity="warning")
        for conflict in self.session.keymap.conflicts():
            told = f"console.toml, [keys]: {conflict}; the first one has it"
            self.tell(told, severity="warning")
        if self._problem is not None:
            told = f"{self._problem.message}; the defaults hold; {self._problem.remedy}"
            self.tell(told, severity="error")

    # The beat.

    def _beat(self) -> None:
        self._weigh()
        self.returning.look()
        self._ringing.look()
        announced = self.session.options.announced
        while announced:
            self.tell(announced.popleft(), severity="warning")
        if self.screen_stack and not isinstance(self.screen, Splash):
            self._refresh_now()

    def _weigh(self) -> None:
        """Say what went to the terminal since the last beat, if somebody asked."""
        now = self.session.now
        if self.session.link_rate is not None:
            passed = max(now - self._weighed_at, 0.001)
            self.session.link_rate = (self.written - self._weighed) / passed
        self._weighed, self._weighed_at = self.written, now

    def _splash_beat(self) -> None:
        splash = self.screen if self.screen_stack else None
        if isinstance(splash, Splash):
            splash.refresh_view()
            started = bool(self.session.started)
            if splash.due() or (started and isinstance(self.session.state.link, Live)):
                self.go(self.session.options.first)

    def _refresh_now(self) -> None:
        self.session.take_in()
        if not self.screen_stack:
            return  # it is over
        if isinstance(self.screen, Splash):
            self.screen.refresh_view()
        elif self._dashboard is not None:
            self._dashboard.refresh_view()

    def _ring(self) -> None:
        if self.settings.bell:
            self.bell()

    async def on_event(self, event: events.Event) -> None:
        """A key or a click: somebody is here."""
        if isinstance(event, events.Key | events.MouseDown):
            self.returning.touched()
        await super().on_event(event)

    def on_resize(self, event: events.Resize) -> None:
        """A terminal in which no panel fits gets a few words instead."""
        if too_small(event.size) and not isinstance(self.screen, Narrow):
            self.push_screen(Narrow(self.session))

    def on_unmount(self) -> None:
        """What was seen is kept, for the next time."""
        self.returning.keep()

    def leave_now(self, code: int) -> None:
        """End the console because of a signal; may be called from any thread."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(lambda: self.exit(return_code=code))

    # The end.

    def last_words(self) -> str:
        """What the shell is told after a failure."""
        assert self.failed is not None
        return last_words(self.failed, self._crash)

    def _fatal_error(self) -> None:
        """Keep what happened without the values of variables, and leave."""
        self.failed = self._exception
        if self.failed is not None:
            _, state = base_folders(self.session.options.environ)
            folder = Path(places.startup_log(state)).parent
            at = self.session.clock.utc()
            self._crash = write_crash(self.failed, folder, at=at)
        self._close_messages_no_wait()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Work that failed unexpectedly is told, and the console goes on."""
        if event.state is WorkerState.ERROR:
            worker = cast("Worker[None]", event.worker)
            self.tell(f"{worker.group}: {worker.error!r}", severity="error")


def _import_the_rest() -> None:
    """Have the dashboard at hand when it is wanted; beside the loop, behind the splash."""
    from nexa_tui.screens import dashboard, deeds
    from nexa_tui.state import away

    assert dashboard
    assert deeds
    assert away


def _collect_again() -> None:
    gc.freeze()
    gc.enable()
