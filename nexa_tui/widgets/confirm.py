"""The question before something is destroyed: names the target and what will happen.

Cancel has the focus; Esc is Cancel. Where the harm is great the name has to be typed,
and until it is, the answer yes does nothing.
"""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from nexa_tui.state.lookalikes import warnings
from nexa_tui.state.text import clean
from nexa_tui.widgets.untrusted import untrusted


class Choice(Static, can_focus=True):
    """An answer to choose: Enter, Space or a click."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "choose", "Choose", show=False),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    class Chosen(Message):
        """This answer was chosen."""

        def __init__(self, choice: "Choice") -> None:
            """Say which."""
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> "Choice":
            """The answer, for `@on` with a selector."""
            return self.choice

    def __init__(
        self,
        label: str,
        *,
        id: str | None = None,  # noqa: A002  as Textual calls it
        classes: str | None = None,
    ) -> None:
        """Show the answer; the label is our own words."""
        super().__init__(Content(f" {label} "), markup=False, id=id, classes=classes)

    def action_choose(self) -> None:
        """Answer."""
        self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        """Answer."""
        event.stop()
        self.action_choose()


class Confirm(ModalScreen[bool]):
    """Ask; the answer is True only if the person chose to go on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(False)", "Cancel", show=False, id="confirm.cancel"),
    ]

    def __init__(
        self,
        *,
        title: str,
        target: str,
        effects: Sequence[str],
        verb: str,
        keep: str = "Cancel",
        type_name: str | None = None,
    ) -> None:
        """Prepare the question.

        Args:
            title: What would be done, our own words: `Stop a node`.
            target: To what; foreign text.
            effects: What will happen, one sentence each; may hold foreign text.
            verb: On the button: `Stop alpha`.
            keep: On the one that does nothing, our own words.
            type_name: Must be typed before yes means yes.
        """
        super().__init__()
        self._title = title
        self._target = target
        self._effects = tuple(effects)
        self._verb = verb
        self._keep = keep
        self._type_name = type_name

    def compose(self) -> ComposeResult:
        """The question, its consequences, and two answers."""
        with Vertical(id="confirm") as box:
            box.border_title = Content(self._title)
            yield Static(untrusted(self._target, 200), id="confirm-target")
            for effect in self._effects:
                yield Static(untrusted(effect, 400), classes="confirm-effect")
            for line in warnings((self._target, *self._effects)):
                yield Static(untrusted(line, 200), classes="confirm-alike")
            if self._type_name is not None:
                words = f"Type {clean(self._type_name, 60)} to go on:"
                yield Static(Content(words), classes="confirm-type")
                line = Input(compact=True, max_length=100)
                line.cursor_blink = False
                yield line
            with Horizontal(id="confirm-answers"):
                yield Choice(self._keep, id="confirm-no")
                yield Choice(clean(self._verb, 40), id="confirm-yes")

    def on_mount(self) -> None:
        """Cancel is what an absent-minded Enter chooses."""
        self.query_one("#confirm-no").focus()
        self._allow()

    def on_input_changed(self, _event: Input.Changed) -> None:
        """Yes opens when the name is right."""
        self._allow()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Enter in the input goes on to the answers, it is none itself."""
        self.query_one("#confirm-no").focus()

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        """Answer."""
        self.action_answer(event.choice.id == "confirm-yes")

    def action_answer(self, yes: bool) -> None:
        """Close with the answer; yes only where it is allowed."""
        if not yes or self._allowed():
            self.dismiss(yes)

    def _allowed(self) -> bool:
        if self._type_name is None:
            return True
        return self.query_one(Input).value.strip() == self._type_name

    def _allow(self) -> None:
        self.query_one("#confirm-yes").disabled = not self._allowed()
