"""Everything that lies on top for a moment: help, reading, quit, themes, attach.

Imported when the first of them is opened. Esc closes each without doing anything.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from nexa_tui.actions import Action, Keymap, Place, key_name
from nexa_tui.client.discovery import Target
from nexa_tui.screens.sheet import Sheet
from nexa_tui.state.detail import Field, Heading, Line
from nexa_tui.state.text import clean, clean_lines
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.confirm import Choice
from nexa_tui.widgets.ink import app_of
from nexa_tui.widgets.lines import LineView
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Row, Table
from nexa_tui.widgets.untrusted import untrusted

_BOX_MAX = 96
_BOX_MIN = 6
_FRAME = 2
_TEXT_MAX = 50_000
"""Characters that are copied: terminals take about 74,000 encoded ones."""
_CLOSE: list[BindingType] = [
    Binding("escape,q", "close", "Close", show=False, id="dialog.close")
]


class Reading(ModalScreen[None]):
    """Something to read."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *_CLOSE,
        Binding("question_mark,f1", "close", "Close", show=False, id="dialog.help"),
    ]

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        """Show `lines`, clean ones, under a title."""
        super().__init__(classes="dialog")
        self._title = clean(title, 80)
        self._told = lines
        self._sheet = Sheet(id="reading")

    def compose(self) -> ComposeResult:
        """Lines in a panel."""
        yield Panel(self._sheet, title=self._title, classes="box")

    def on_mount(self) -> None:
        """Show them."""
        self._sheet.show_lines(self._told)
        self._sheet.focus()
        self.query_one(Panel).say(info=[("Esc closes", "muted")])

    def on_resize(self, event: events.Resize) -> None:
        """As tall as the lines need."""
        lines = self._sheet.lines_at(_inner_width(event.size.width))
        self.query_one(Panel).styles.height = _outer_height(lines, event.size.height)

    def action_close(self) -> None:
        """Close."""
        self.dismiss()


class Document(Reading):
    """Something to read that may be taken along: copied, or written to a file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", show=False, id="document.copy"),
        Binding("e", "keep", "Export", show=False, id="document.keep"),
    ]

    def __init__(
        self,
        title: str,
        lines: Sequence[Line],
        *,
        text: str,
        keep: Callable[[str], None],
    ) -> None:
        """Show `lines`, clean ones; `text` is all of it, and `keep` writes it."""
        super().__init__(title, lines)
        self._text, self._keep = text, keep

    def on_mount(self) -> None:
        """Show them, and say what can be done with them."""
        super().on_mount()
        told = ("y copies", "e writes a file", "Esc closes")
        self.query_one(Panel).say(info=[(one, "muted") for one in told])

    def action_copy(self) -> None:
        """Give the whole text to the terminal's clipboard (OSC 52)."""
        told = "\n".join(clean_lines(self._text, _TEXT_MAX, _TEXT_MAX))
        app = app_of(self)
        app.copy_to_clipboard(told[:_TEXT_MAX])
        app.notify("copied", markup=False, timeout=4)

    def action_keep(self) -> None:
        """Write the whole text to a file."""
        self._keep(self._text)


def _inner_width(screen: int) -> int:
    """Cells inside a box; the style sheet says how wide that is."""
    return min(_BOX_MAX, screen * 9 // 10) - _FRAME


def _outer_height(lines: int, screen: int) -> int:
    """Of a box with so many lines; at most four fifths of the screen."""
    return max(_BOX_MIN, min(lines + _FRAME, screen * 4 // 5))


def help_lines(
    keymap: Keymap, places: Sequence[Place], allowed: Sequence[str]
) -> list[Line]:
    """What the keys do here, then what they do everywhere.

    Args:
        keymap: With what the operator changed.
        places: Where we are.
        allowed: Ids of the actions that would not be refused.
    """
    here = [one for one in keymap.at(*places) if "everywhere" not in one.where]
    everywhere = list(keymap.at("everywhere"))
    lines: list[Line] = [Heading(f"here: {', '.join(places)}")]
    lines += [_help_of(one, allowed) for one in here]
    lines.append(Heading("everywhere"))
    lines += [_help_of(one, allowed) for one in everywhere if one.keys]
    lines.append(Heading("filter"))
    lines += [
        Field("wc", "the row says so somewhere"),
        Field("state:busy", "that column says so"),
        Field("re:^wc-[0-9]", "a regular expression; also state:re:..."),
        Field("!idle", "and not that"),
    ]
    return lines


def _help_of(action: Action, allowed: Sequence[str]) -> Field:
    keys = " ".join(key_name(key) for key in action.keys)
    refused = "" if action.id in allowed else " (refused: you may only look)"
    words = f"   :{action.words}" if action.words else ""
    style = "warn" if action.dangerous and not refused else "text"
    return Field(keys, f"{action.help}{words}{refused}", "muted" if refused else style)


class Quit(ModalScreen[str]):
    """Leave? Answers `detach`, `stop` or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer('')", "Stay", show=False, id="quit.stay"),
        Binding("y,q", "answer('detach')", "Detach", show=False, id="quit.detach"),
    ]

    def __init__(self, started: Sequence[Target], *, demo: bool = False) -> None:
        """Ask.

        Args:
            started: The nodes that this console started and that still run.
            demo: What is shown ends with the console.
        """
        super().__init__(classes="dialog quit")
        self._started = started
        self._demo = demo

    def compose(self) -> ComposeResult:
        """Detach is the default: nodes go on."""
        names = ", ".join(clean(one.name, 30) for one in self._started)
        if self._demo:
            told = "The demo ends: its node, its agents and its folder go."
        elif names:
            told = f"You started {names} here. Detach, and it goes on without you."
        else:
            told = "Nodes and agents go on; nexa finds them again."
        with Container(classes="box small") as box:
            box.border_title = Content("Leave the console?")
            yield Static(untrusted(told, 300), classes="told")
            with Horizontal(classes="answers"):
                yield Choice("End it" if self._demo else "Detach", id="detach")
                if self._started:
                    yield Choice(f"Stop {names}", id="stop")
                yield Choice("Stay", id="stay")

    def on_mount(self) -> None:
        """Enter detaches."""
        self.query_one("#detach").focus()

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        """Answer."""
        chosen = event.choice.id or ""
        self.action_answer("" if chosen == "stay" else chosen)

    def action_answer(self, answer: str) -> None:
        """Close with the answer."""
        self.dismiss(answer)


class Pick(ModalScreen[str]):
    """Choose one of a list; what is highlighted may be tried out meanwhile."""

    BINDINGS: ClassVar[list[BindingType]] = _CLOSE

    def __init__(
        self,
        title: str,
        rows: Sequence[tuple[str, str, str]],
        *,
        first: str = "",
        empty: str = "Nothing found.",
    ) -> None:
        """Offer rows.

        Args:
            title: Our own words.
            rows: Key, name and note of each.
            first: The key the cursor begins on.
            empty: What to say if there is no row.
        """
        super().__init__(classes="dialog")
        self._title = title
        self._rows = rows
        self._first = first
        self._empty = empty

    def compose(self) -> ComposeResult:
        """A table in a panel, and what a subclass adds."""
        columns = (
            Column("name", "name", 16, flexible=1),
            Column("note", "", 20, flexible=2, priority=1),
        )
        table = Table(columns, empty=self._empty, id="pick")
        yield Panel(table, *self.more(), title=self._title, classes="box")

    def more(self) -> Sequence[Widget]:
        """What is below the table."""
        return ()

    def on_mount(self) -> None:
        """Fill the table."""
        table = self.query_one(Table)
        table.update_rows(
            [
                Row(key, ((clean(name, 60), "strong"), (clean(note, 120), "muted")))
                for key, name, note in self._rows
            ]
        )
        table.move_to_key(self._first)
        lines = self.query(Input)
        (lines.first() if lines and not self._rows else table).focus()
        self.query_one(Panel).say(
            info=[("Enter takes", "muted"), ("Esc closes", "muted")]
        )

    def on_resize(self, event: events.Resize) -> None:
        """As tall as the rows need."""
        lines = Table.HEADER + max(3, len(self._rows)) + len(self.query(Input))
        self.query_one(Panel).styles.height = _outer_height(lines, event.size.height)

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """Take it."""
        message.stop()
        self.dismiss(message.key)

    def action_close(self) -> None:
        """Take nothing."""
        self.dismiss("")


class Attach(Pick):
    """Choose a node: one that was found, a context, or a URL that is typed.

    A token that is asked for is in `token` afterwards, and nowhere else.
    """

    def __init__(
        self,
        rows: Sequence[tuple[str, str, str]],
        *,
        needs_token: Callable[[str], bool],
    ) -> None:
        """Offer rows; `needs_token` says whether none is known for a URL."""
        nothing = "No node runs on this machine, and no context is kept."
        super().__init__("Attach to", rows, empty=nothing)
        self._needs_token = needs_token
        self.token = ""
        self._url = _line("or type one: http://HOST:6392")
        self._secret = _line("of that node; made there by nexa token create")
        self._secret.password = True

    def more(self) -> Sequence[Widget]:
        """Lines for a URL and its token."""
        return (_asked("URL", self._url), _asked("token", self._secret))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the URL, with a token if one is needed; the node has the last word."""
        event.stop()
        url = self._url.value.strip()
        self.token = self._secret.value.strip()
        asks = event.input is self._url and not self.token and self._needs_token(url)
        if not url or asks:
            (self._secret if url else self._url).focus()
        else:
            self.dismiss(f"url:{url}")


def _asked(label: str, line: Input) -> Widget:
    return Horizontal(Static(Content(label), classes="label"), line, classes="asked")


def _line(placeholder: str) -> Input:
    line = Input(placeholder=placeholder, compact=True, max_length=300)
    line.cursor_blink = False
    return line
