"""The application: screens, the beat that keeps them fresh, and the end of it all.

One direction: the feed tells the session, the beat takes it in and shows the screen that
is seen. Nothing but what the first frame needs is imported before it.
"""

import gc
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from nexa_node.contract import places
from nexa_node.contract.errors import NexaError
from nexa_tui.actions import Action, Place
from nexa_tui.app.crash import last_words, write_crash
from nexa_tui.client.discovery import Target, discover
from nexa_tui.client.places import base_folders
from nexa_tui.client.threads import beside
from nexa_tui.screens.keys import chosen, is_local, method
from nexa_tui.screens.session import Session
from nexa_tui.screens.splash import Splash
from nexa_tui.settings import ConsoleSettings
from nexa_tui.state.store import Live
from nexa_tui.state.text import clean
from nexa_tui.theming import DEFAULT_THEME, Terminal, Themes
from nexa_tui.widgets.dressed import DressedApp

if TYPE_CHECKING:
    from nexa_tui.screens.dashboard import Dashboard
    from nexa_tui.screens.deeds import Deeds

_FREEZE_S = 1.5
"""When everything is there that the start makes: the collector may work again."""
_SPLASH_BEAT_S = 0.1
_OVER = 128


class Console(DressedApp[str]):
    """The console."""

    TITLE = "nexa"
    CSS_PATH: ClassVar[list[Path | str]] = [
        cast("Path", DressedApp.CSS_PATH),
        Path(__file__).parents[1] / "screens.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = []
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
        themes: Themes | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        """Make ready; nothing is drawn or asked yet."""
        wanted = session.options.theme or settings.theme or DEFAULT_THEME
        super().__init__(themes=themes, theme=wanted, terminal=terminal)
        self.session = session
        self.settings = settings
        self.failed: BaseException | None = None
        self._crash: Path | None = None
        self._made_deeds: Deeds | None = None
        self._made_dashboard: Dashboard | None = None
        self._begun = False
        self.set_keymap(chosen(session.keymap))

    # The beginning.

    def get_default_screen(self) -> Screen[None]:
        """Ours is the first screen, not one on top of an empty one."""
        self._find_node()
        skip = self.session.options.no_splash
        return self._new_dashboard() if skip else Splash(self.session)

    def on_mount(self) -> None:
        """Everything else comes after the first screen was painted."""
        self.session.on_news = self._refresh_now
        self.call_after_refresh(self._begin)

    def _find_node(self) -> None:
        options = self.session.options
        try:
            target = discover(
                options.environ, context=options.context, attach=options.attach
            )
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
            self.begin(self.session.watch(), group="feed")
        elif self.session.options.start:
            self._deeds.do("start-node")
        if isinstance(self.screen, Splash):
            self.begin(self.session.check(), group="check")
        self.set_interval(self.settings.refresh_s, self._beat)
        self.set_interval(_SPLASH_BEAT_S, self._splash_beat)
        self.set_timer(_FREEZE_S, _collect_again)
        self.begin(beside(_import_the_rest), group="imports")
        if self.theme_problem is not None:
            self.tell(str(self.theme_problem), severity="warning")

    # The beat.

    def _beat(self) -> None:
        if not isinstance(self.screen, Splash):
            self._refresh_now()

    def _splash_beat(self) -> None:
        splash = self.screen
        if isinstance(splash, Splash):
            splash.refresh_view()
            started = bool(self.session.started)
            if splash.due() or (started and isinstance(self.session.state.link, Live)):
                self.go("overview")

    def _refresh_now(self) -> None:
        self.session.take_in()
        if isinstance(self.screen, Splash):
            self.screen.refresh_view()
        elif self._dashboard is not None:
            self._dashboard.refresh_view()

    # What deeds ask of us.

    def tell(self, text: str, *, severity: str = "information") -> None:
        """Say something for a moment."""
        self.notify(
            clean(text, 500),
            severity=severity,  # pyright: ignore[reportArgumentType]  # one of Textual's three
            markup=False,
            timeout=8 if severity == "error" else 4,
        )

    def ask(self, screen: Any, then: Callable[[Any], None]) -> None:
        """Put a dialog on top and go on with its answer."""
        self.push_screen(screen, then)

    def begin(self, work: Coroutine[Any, Any, None], *, group: str) -> None:
        """Work beside the screen."""
        self.run_worker(work, group=group, exclusive=True, exit_on_error=False)

    def turn_to(self, target: Target) -> None:
        """Turn to a node; the same one again keeps what is known of it."""
        if self.session.target != target:
            self.session.attach(target)
        self.begin(self.session.watch(), group="feed")
        self.session.on_news()

    def go(self, name: str) -> None:
        """Turn to a view of the dashboard, which is opened if need be."""
        if self._dashboard is None:
            self.push_screen(self._new_dashboard(name))
            return
        if isinstance(self.screen, Splash):
            self.pop_screen()
        self.begin(self._dashboard.go(name), group="go")

    def local(self, action: Action, argument: str) -> None:
        """Let the view in focus do it."""
        if action.id == "copy":
            self.copy_to_clipboard(argument)
        elif action.id == "theme":
            self._theme(argument)
        elif action.id == "splash":
            self._show_splash()
        elif action.id == "filter" and self._dashboard is not None:
            self.begin(self._dashboard.filter_by(argument), group="go")
        elif is_local(action.id) or action.id == "back":
            self.begin(self._run(method(action.id)), group="go")
        elif action.id == "quit":
            self._deeds.do("leave")

    def subject(self) -> tuple[Place, str] | None:
        """What the person looks at."""
        return self._dashboard.subject() if self._dashboard else None

    def address(self) -> str | None:
        """The address of what the person looks at."""
        return self._dashboard.view.address() if self._dashboard else None

    def here(self) -> Sequence[Place]:
        """Where the person is."""
        return self._dashboard.places if self._dashboard else ("splash",)

    def leave(self, answer: str) -> None:
        """End the console in order."""
        self.exit(answer)

    def leave_now(self, code: int) -> None:
        """End the console because of a signal; may be called from any thread."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(lambda: self.exit(return_code=code))

    # What keys ask of us.

    def action_do(self, action_id: str) -> None:
        """Do what the registry calls so."""
        self._deeds.do(action_id)

    def action_go(self, name: str) -> None:
        """Turn to a view."""
        self.go(name)

    def action_check(self, check: str) -> None:
        """Run one check again, or all of them."""
        self.begin(self.session.check(check or None), group="check")

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

    @property
    def _dashboard(self) -> "Dashboard | None":
        """The dashboard, if it is there, be it under a dialog."""
        made = self._made_dashboard
        stack: list[Screen[Any]] = list(self.screen_stack)
        return made if made in stack else None

    @property
    def _deeds(self) -> "Deeds":
        if self._made_deeds is None:
            from nexa_tui.screens.deeds import Deeds

            self._made_deeds = Deeds(self)
        return self._made_deeds

    def _new_dashboard(self, first: str = "overview") -> "Dashboard":
        from nexa_tui.screens.dashboard import Dashboard

        self._made_dashboard = Dashboard(self.session, first=first)
        return self._made_dashboard

    def _show_splash(self) -> None:
        if self._dashboard is not None:
            self.push_screen(Splash(self.session, touched=True))
            self.begin(self.session.check(), group="check")

    def _theme(self, name: str) -> None:
        from nexa_tui.screens.theming import choose_theme

        choose_theme(self, name)

    async def _run(self, action: str) -> None:
        focused = self.screen.focused
        await self.run_action(action, focused or self.screen)


def _import_the_rest() -> None:
    """Have the dashboard at hand when it is wanted; beside the loop, behind the splash."""
    from nexa_tui.screens import dashboard, deeds

    assert dashboard
    assert deeds


def _collect_again() -> None:
    gc.freeze()
    gc.enable()
