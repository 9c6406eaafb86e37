"""What the console does for keys and commands: the desk that deeds work at.

Everything here answers a person's wish; what happens by itself is in `console`.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from nexa_node.contract.errors import NexaError
from nexa_tui.actions import BY_ID, FORBIDDEN_KEYS, Action, Place
from nexa_tui.client.discovery import Target
from nexa_tui.screens.keys import is_local, method
from nexa_tui.screens.returning import Returning
from nexa_tui.screens.session import Session
from nexa_tui.screens.splash import Splash
from nexa_tui.settings import keep_theme, read_settings
from nexa_tui.state.text import clean
from nexa_tui.theming import Terminal, Themes
from nexa_tui.widgets.dressed import DressedApp

if TYPE_CHECKING:
    from nexa_tui.screens.dashboard import Dashboard
    from nexa_tui.screens.deeds import Deeds


class DeskApp(DressedApp[str]):
    """An application with a session, screens for it, and hands."""

    def __init__(
        self,
        session: Session,
        *,
        themes: Themes | None,
        theme: str,
        terminal: Terminal | None,
    ) -> None:
        """Work on `session`; the dashboard and the deeds are made when needed."""
        super().__init__(themes=themes, theme=theme, terminal=terminal)
        self.session = session
        self._made_deeds: Deeds | None = None
        self._made_dashboard: Dashboard | None = None
        self.returning = Returning(session, self.tell)

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

    def begin(
        self, work: Callable[[], Coroutine[Any, Any, None]], *, group: str
    ) -> None:
        """Work beside the screen."""
        self.run_worker(work, group=group, exclusive=True, exit_on_error=False)

    def turn_to(self, target: Target) -> None:
        """Turn to a node; the same one again keeps what is known of it."""
        another = self.session.target != target
        if another:
            self.session.attach(target)
        self.begin(self.session.watch, group="feed")
        ours = target in self.session.started
        if another and not ours and isinstance(self.screen, Splash):
            self.screen.begin_again()
            self.begin(self.session.check, group="check")
        self.session.on_news()

    def keep_theme(self, name: str) -> None:
        """Write the theme that was chosen to the settings, and say what came of it."""
        worn = (
            f"{self.theme}" if self.theme == name else f"{name}, here as {self.theme}"
        )
        try:
            path = keep_theme(self.session.options.environ, name)
        except NexaError as error:
            told = f"{worn}, until the console ends: {error.message}; {error.remedy}"
            self.tell(told, severity="warning")
        else:
            self.tell(f"{worn}; kept in {path}")

    def go(self, name: str) -> None:
        """Turn to a view of the dashboard, which is opened if need be."""
        if self._dashboard is None:
            self.push_screen(self._new_dashboard(name))
            return
        if isinstance(self.screen, Splash):
            self.pop_screen()
        self.begin(partial(self._dashboard.go, name), group="go")

    def local(self, action: Action, argument: str) -> None:
        """Let the view in focus do it, or the application itself."""
        ours: dict[str, Callable[[], None]] = {
            "copy": lambda: self.copy_to_clipboard(argument),
            "theme": lambda: self._theme(argument),
            "link": self._show_link,
            "away": self._show_away,
            "settings": self._settings,
            "redraw": self._redraw,
            "splash": self._show_splash,
            "quit": lambda: self._deeds.do("leave"),
        }
        work = self._with_words(action.id, argument)
        if action.id in ours:
            ours[action.id]()
        elif work is not None:
            self.begin(work, group="go")
        elif is_local(action.id) or action.id == "back":
            self.begin(partial(self._act, method(action.id)), group="go")

    def _with_words(
        self, action_id: str, words: str
    ) -> Callable[[], Coroutine[Any, Any, None]] | None:
        """What a view does with words that were typed; None if it does nothing."""
        board = self._dashboard
        if board is None:
            return None
        if action_id == "filter":
            return partial(board.filter_by, words)
        takes: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
            "query": board.ask,
            "topic": board.follow,
            "seek": self._at_time,
        }
        if not words or action_id not in takes:
            return None
        return partial(takes[action_id], words)

    def _settings(self) -> None:
        from nexa_tui.screens.settings_form import ask_settings

        environ = self.session.options.environ
        try:
            known = read_settings(
                environ, actions=frozenset(BY_ID), refused=FORBIDDEN_KEYS
            )
        except NexaError as error:
            self.tell(f"{error.message}; {error.remedy}", severity="error")
            return
        ask_settings(self, environ, known, self.themes.names())

    def _show_link(self) -> None:
        shown = self.session.link_rate is not None
        self.session.link_rate = None if shown else 0.0
        self.session.on_news()

    def _show_away(self) -> None:
        from nexa_tui.screens.dialogs import Reading

        lines = self.returning.lines(ascii_only=self.terminal.ascii_only)
        if lines is None:
            self.tell("you are here for the first time, and never were away since")
        else:
            self.ask(Reading("While you were away", lines), lambda _: None)

    def _redraw(self) -> None:
        self.forget_screen()
        self.screen.refresh(layout=True)

    def open_address(self, address: str) -> None:
        """Turn to what an address names, and say so if there is no such thing."""

        async def work() -> None:
            board = self._dashboard
            if board is not None and not await board.open_address(address):
                told = f"no such place: {clean(address, 80)}; y copies an address"
                self.tell(told, severity="warning")

        self.begin(work, group="go")

    def viewed(self) -> object:
        """The view that is seen, for what only it can tell."""
        return self._dashboard.view if self._dashboard else None

    def subject(self) -> tuple[Place, str] | None:
        """What the person looks at."""
        return self._dashboard.subject() if self._dashboard else None

    def address(self) -> str | None:
        """The address of what the person looks at."""
        return self._dashboard.view.address() if self._dashboard else None

    def here(self) -> Sequence[Place]:
        """Where the person is."""
        return self._dashboard.places if self._dashboard else ("splash",)

    def lend_terminal(self, words: Sequence[str]) -> int:
        """Let a program have the terminal until it ends; its exit code."""
        import subprocess

        with self.suspend():
            try:
                code = subprocess.run(words, check=False).returncode
            except OSError as error:
                raise NexaError(
                    f"{words[0]} can't be run: {error.strerror}",
                    remedy="see its command in actions.toml",
                ) from error
        self.forget_screen()
        self.screen.refresh(layout=True)
        return code

    def leave(self, answer: str) -> None:
        """End the console in order."""
        self.exit(answer)

    # What keys ask of us.

    def action_do(self, action_id: str) -> None:
        """Do what the registry calls so."""
        self._deeds.do(action_id)

    def action_leave(self) -> None:
        """Ask whether to leave, once; at once where there is no room for a question."""
        if "narrow" in self.screen.classes:
            self.leave("detach")
        elif "quit" not in self.screen.classes:
            self._deeds.do("leave")

    def action_go(self, name: str) -> None:
        """Turn to a view."""
        self.go(name)

    def action_check(self, check: str) -> None:
        """Run one check again, or all of them."""
        self.begin(partial(self.session.check, check or None), group="check")

    # Inside.

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
            self.begin(self.session.check, group="check")

    def _theme(self, name: str) -> None:
        from nexa_tui.screens.theming import choose_theme

        choose_theme(self, name)

    async def _at_time(self, text: str) -> None:
        try:
            if self._dashboard is not None:
                await self._dashboard.at_time(text)
        except ValueError as error:
            self.tell(str(error), severity="warning")

    async def _act(self, action: str) -> None:
        if self._dashboard is not None and not isinstance(self.screen, Splash):
            await self._dashboard.act(action)
        else:
            await self.run_action(action, self.screen)
