"""A few lines to fill in, on top of everything. Esc changes nothing."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from nexa_tui.widgets.confirm import Choice
from nexa_tui.widgets.untrusted import untrusted

Answers = dict[str, str]
Check = Callable[[Answers], str | None]
"""Says what is wrong with what was typed; None if nothing is."""


class Blank(msgspec.Struct, frozen=True):
    """One line to fill in."""

    key: str
    label: str
    """One or two words, our own."""
    value: str = ""
    hint: str = ""
    """What it means when it stays empty, or an example."""
    most: int = 300


class Form(ModalScreen[Answers | None]):
    """Ask for a few words; answers them by key, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Cancel", show=False, id="form.cancel"),
    ]

    def __init__(
        self,
        *,
        title: str,
        target: str,
        blanks: Sequence[Blank],
        verb: str,
        check: Check | None = None,
    ) -> None:
        """Prepare the form.

        Args:
            title: What will be done, our own words.
            target: To what; foreign text.
            blanks: The lines, in order; Enter in the last one answers.
            verb: On the button.
            check: Asked before it is answered.
        """
        super().__init__(classes="dialog")
        self._title = title
        self._target = target
        self._blanks = tuple(blanks)
        self._verb = verb
        self._check = check

    def compose(self) -> ComposeResult:
        """The target, the lines, what is wrong with them, two answers."""
        with Container(classes="box small") as box:
            box.border_title = Content(self._title)
            yield Static(untrusted(self._target, 200), classes="told")
            for blank in self._blanks:
                line = Input(
                    blank.value,
                    placeholder=blank.hint,
                    compact=True,
                    max_length=blank.most,
                    id=f"blank-{blank.key}",
                )
                line.cursor_blink = False
                yield Horizontal(
                    Static(Content(blank.label), classes="label"), line, classes="asked"
                )
            yield Static("", id="form-fault", classes="told")
            with Horizontal(classes="answers"):
                yield Choice(self._verb, id="form-yes")
                yield Choice("Cancel", id="form-no")

    def on_mount(self) -> None:
        """Begin with the first line."""
        self.query(Input).first().focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the next line; from the last one, answer."""
        event.stop()
        lines = list(self.query(Input))
        after = lines.index(event.input) + 1
        if after < len(lines):
            lines[after].focus()
        else:
            self._answer()

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        """Answer."""
        if event.choice.id == "form-yes":
            self._answer()
        else:
            self.action_close()

    def action_close(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    def _answer(self) -> None:
        answers = {
            blank.key: self.query_one(f"#blank-{blank.key}", Input).value.strip()
            for blank in self._blanks
        }
        fault = self._check(answers) if self._check else None
        if fault is None:
            self.dismiss(answers)
        else:
            self.query_one("#form-fault", Static).update(untrusted(fault, 300))
