"""The splash: the self-test, live, and what to do next.

It is there at once and never in the way: any key goes on, green goes on by itself, and a
failure waits with its cause and the command that mends it.
"""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from nexa_node.contract.checks import CheckResult
from nexa_node.contract.version import VERSION
from nexa_tui.screens.keys import bindings, method
from nexa_tui.screens.said import Said
from nexa_tui.screens.session import Session
from nexa_tui.screens.told import told_lines
from nexa_tui.state.formats import duration
from nexa_tui.state.severity import mark
from nexa_tui.state.splash import GROUP_TITLES, Run
from nexa_tui.state.store import Denied, Gone, Live
from nexa_tui.state.text import clean
from nexa_tui.widgets.checks import CheckLine, Checks
from nexa_tui.widgets.ink import app_of, terminal_of
from nexa_tui.widgets.lines import LineView, Piece
from nexa_tui.widgets.statusbar import KeyBar, KeyHint

LOGO = (
    "█▀▀▄ █▀▀▀ ▀▄ ▄▀ ▄▀▀▄",
    "█  █ █▀▀    █   █▄▄█",
    "▀  ▀ ▀▀▀▀ ▄▀ ▀▄ ▀  ▀",
)
ASCII_LOGO = ("|\\| |- \\/ /\\", "| | |_ /\\ --", "")
_QUIET = frozenset(("up", "down", "home", "end", "pageup", "pagedown", "tab"))


class Splash(Screen[None]):
    """The first screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("splash"),
        *bindings("everywhere"),
    ]

    def __init__(self, session: Session, *, touched: bool = False) -> None:
        """Show what `session` finds out; `touched` if a person asked for it."""
        super().__init__(id="splash")
        self._session = session
        self._touched = touched
        self._shown: float | None = None
        self._brand = Said(id="brand")
        self._checks = Checks(id="checks")
        self._standing = Said(id="standing")
        self._keys = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        """Logo, checks, where we stand, keys."""
        yield self._brand
        yield self._checks
        yield self._standing
        yield self._keys

    def on_mount(self) -> None:
        """Show what is known already."""
        self._show()
        self._checks.focus()

    @property
    def places(self) -> tuple[str, ...]:
        """Where we are, for the help."""
        return ("splash",)

    @property
    def waits(self) -> bool:
        """Whether a person took the lead: then nothing happens by itself."""
        return self._touched

    def begin_again(self) -> None:
        """Another node is looked at: nobody took the lead on it yet."""
        self._touched = False
        self._shown = None

    def refresh_view(self) -> None:
        """Show what is known now."""
        if self.is_mounted:
            self._show()

    def _show(self) -> None:
        session = self._session
        run, now = session.run, session.now
        with app_of(self).batch_update():
            self._brand.say(self._brand_lines(run, now))
            self._checks.update_checks(
                [_line(check, run, now) for check in run.in_order()]
            )
            self._find_the_worst(run)
            self._standing.say(self._told(run, now))
            self._keys.show(self._hints())

    def _find_the_worst(self, run: Run) -> None:
        """Once a run is over, show what is wrong; not if somebody reads elsewhere."""
        if run.finished is None or run.finished == self._shown or self._touched:
            return
        self._shown = run.finished
        worst = run.worst()
        if worst is not None:
            alike = run.bad(worst.status)
            self._checks.focus_check(worst.id, until=alike[-1].id)

    def due(self) -> bool:
        """Say whether it is time to go on by itself."""
        at = self._session.run.goes_on_at()
        blocked = isinstance(self._session.state.link, Denied | Gone)
        busy = self._session.starting is not None
        return (
            at is not None
            and not blocked
            and not busy
            and not self._touched
            and self._session.now >= at
        )

    async def action_go_on(self) -> None:
        """Open the dashboard."""
        await self.run_action("app.do('go-on')")

    async def action_view(self, name: str) -> None:
        """A view's number opens the dashboard there."""
        await self.run_action(f"app.go('{name}')")

    async def action_back(self) -> None:
        """Any key goes on; this one, too."""
        await self.action_go_on()

    async def action_escape(self) -> None:
        """Any key goes on; this one, too."""
        await self.action_go_on()

    async def action_quit(self) -> None:
        """Ask."""
        await self.run_action("app.do('leave')")

    async def action_run_check(self) -> None:
        """Run the check under the cursor again."""
        self._touched = True
        check = self._checks.current
        if check is not None:
            await self.run_action(f"app.check({check.id!r})")

    async def action_run_checks(self) -> None:
        """Run all checks again."""
        self._touched = True
        await self.run_action("app.check('')")

    def action_open_check(self) -> None:
        """Show all there is about the check under the cursor."""
        from nexa_tui.screens.dialogs import Reading
        from nexa_tui.state.detail import check_lines
        from nexa_tui.state.listing import Look

        self._touched = True
        chosen = self._checks.current
        check = self._session.run.checks.get(chosen.id) if chosen else None
        if check is not None:
            look = Look(ascii_only=terminal_of(self).ascii_only)
            app_of(self).push_screen(Reading(check.title, check_lines(check, look)))

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """Enter, or a click on the check in focus."""
        message.stop()
        self.action_open_check()

    def on_line_view_highlighted(self, message: LineView.Highlighted) -> None:
        """Somebody reads: wait for them."""
        message.stop()

    async def on_key(self, event: events.Key) -> None:
        """Any key that means nothing else goes on."""
        if event.key in _QUIET or event.key in {"j", "k", "g", "G"}:
            self._touched = True
            return
        if event.key in self.active_bindings:
            return  # it means something: the app looks it up once the event is there
        if event.is_printable and event.character is not None:
            event.stop()
            await self.action_go_on()

    def _brand_lines(self, run: Run, now: float) -> list[Sequence[Piece]]:
        low = self.has_class("-low")
        told = self._words(run, now)
        if low or self.has_class("-narrow"):
            return [((f" nexa {VERSION}  ", "accent"), *told[1])]
        ascii_only = terminal_of(self).ascii_only
        logo = ASCII_LOGO if ascii_only else LOGO
        return [
            ((f"  {line:<24}", "accent"), *words)
            for line, words in zip(logo, told, strict=True)
        ]

    def _words(self, run: Run, now: float) -> tuple[Sequence[Piece], ...]:
        where = (
            "this machine" if run.where == "here" else f"node {clean(run.where, 30)}"
        )
        total, done = len(run.checks), run.done()
        took = duration(run.total_ms(now)).strip()
        count = f"   {done} of {total} checks   {took}" if total else "   starts"
        standing = run.standing()
        word = "self-test" if standing == "running" else f"self-test: {standing}"
        style = "text" if standing == "running" else mark("check", standing).style
        return (
            (("operations console", "strong"), (f"   {VERSION}", "muted")),
            ((word, style), (count, "muted")),
            ((f"on {where}", "muted"),),
        )  # fmt: skip

    def _told(self, run: Run, now: float) -> list[Sequence[Piece]]:
        ascii_only = terminal_of(self).ascii_only
        waits = self._touched
        return told_lines(self._session, run, now, waits=waits, ascii_only=ascii_only)

    def _hints(self) -> list[KeyHint]:
        session = self._session
        actions = session.keymap.bar(
            "splash", role=session.role, read_only=session.read_only
        )
        needless = {"start-node", "demo"} if is_live(session) else set[str]()
        return [
            KeyHint(one.shown(), one.label, method(one.id))
            for one in actions
            if one.id not in needless
        ]


def _line(check: CheckResult, run: Run, now: float) -> CheckLine:
    return CheckLine(
        id=check.id,
        group=GROUP_TITLES[check.group],
        title=check.title,
        status=check.status,
        duration_ms=run.elapsed_ms(check, now),
        detail=check.detail or "",
        cause=check.cause or "",
        remedy=check.remedy or "",
    )


def is_live(session: Session) -> bool:
    """Say whether a node talks to us."""
    return isinstance(session.state.link, Live)
