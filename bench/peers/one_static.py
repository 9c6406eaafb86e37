"""The smallest Textual application that shows anything: what the framework costs."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class OneStatic(App[None]):
    """One Static."""

    def compose(self) -> ComposeResult:
        yield Static("complete")


if __name__ == "__main__":
    OneStatic().run()
