"""The command palette: the words of the command line, found while they are typed."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input

from nexa_tui.actions import Action, find
from nexa_tui.widgets.columns import Column
from nexa_tui.widgets.lines import LineView
from nexa_tui.widgets.panel import Panel
from nexa_tui.widgets.table import Row, Table

_COLUMNS = (
    Column("words", "command", 24),
    Column("help", "", 20, flexible=1),
    Column("key", "key", 6, align="right"),
)


class Palette(ModalScreen[str]):
    """Type a command; answers its words, or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False, id="palette.close"),
        Binding("down,ctrl+n", "move(1)", "Next", show=False, id="palette.down"),
        Binding("up,ctrl+p", "move(-1)", "Previous", show=False, id="palette.up"),
        Binding("tab", "complete", "Complete", show=False, id="palette.complete"),
    ]

    def __init__(self, actions: Sequence[Action]) -> None:
        """Offer `actions`: those that have words and are not refused."""
        super().__init__(classes="dialog")
        self._actions = sorted(
            (one for one in actions if one.words), key=lambda one: one.words or ""
        )

    def compose(self) -> ComposeResult:
        """A line to type, and what fits."""
        line = Input(
            placeholder="a command: task cancel ID", compact=True, max_length=400
        )
        line.cursor_blink = False
        table = Table(
            _COLUMNS, empty="No such command.", hint="nexa help", id="commands"
        )
        table.can_focus = False
        yield Panel(line, table, title="Command", classes="box")

    def on_mount(self) -> None:
        """Everything fits at first."""
        self._fill("")
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what fits."""
        event.stop()
        self._fill(_words(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed if it is a command, else what is under the cursor."""
        event.stop()
        typed = " ".join(_words(event.value).split())
        if typed.startswith("nexa://") or find(typed, self._actions) is not None:
            self.dismiss(typed)
        else:
            self._take_current()

    def on_line_view_selected(self, message: LineView.Selected) -> None:
        """A click takes it."""
        message.stop()
        self._take_current()

    def action_move(self, step: int) -> None:
        """Move in the list."""
        self.query_one(Table).action_move(step)

    def action_complete(self) -> None:
        """Type the rest of what is under the cursor."""
        action = self._current()
        if action is not None:
            line = self.query_one(Input)
            line.value = f"{action.words} " if action.takes else f"{action.words}"
            line.cursor_position = len(line.value)

    def action_close(self) -> None:
        """Do nothing."""
        self.dismiss("")

    def _take_current(self) -> None:
        action = self._current()
        if action is not None:
            self.dismiss(action.words or "")

    def _current(self) -> Action | None:
        key = self.query_one(Table).cursor_key
        return next((one for one in self._actions if one.id == key), None)

    def _fill(self, typed: str) -> None:
        words = typed.split()
        fitting = sorted(
            (one for one in self._actions if _fits(one, words)),
            key=lambda one: _distance(one, typed),
        )
        rows = [
            Row(
                one.id,
                (
                    (f"{one.words} {one.takes or ''}".strip(), "strong"),
                    (one.help, "muted"),
                    (one.shown(), "accent"),
                ),
            )
            for one in fitting
        ]
        if typed.startswith("nexa://"):
            told = ((typed, "strong"), ("Go to what this address names.", "muted"))
            rows = [Row("", (*told, ("Enter", "accent")))]
        table = self.query_one(Table)
        table.update_rows(rows)
        if rows:
            table.move_to(0)  # what fits best


def _fits(action: Action, words: Sequence[str]) -> bool:
    """Whether every typed word begins one of the action's, or its argument is typed."""
    own = (action.words or "").split()
    if not words:
        return True
    if action.takes and words[: len(own)] == own:
        return True
    text = f"{action.words} {action.help}".casefold()
    return all(word.casefold() in text for word in words)


def _distance(action: Action, typed: str) -> int:
    """How far its words are from what was typed: begun with it, in it, or in the help."""
    words, wanted = (action.words or "").casefold(), typed.strip().casefold()
    return 0 if words.startswith(wanted) else 1 if wanted in words else 2


def _words(typed: str) -> str:
    """What was typed; a second `:` from habit is no part of it."""
    return typed.lstrip(": ")
