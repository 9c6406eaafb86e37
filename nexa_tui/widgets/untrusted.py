"""The only way for foreign text into a widget that takes content."""

from textual.content import Content

from nexa_tui.state.text import clean


def untrusted(text: str, limit: int = 200) -> Content:
    """Make foreign text harmless content: no markup is read, nothing in it acts.

    Args:
        text: Anything at all.
        limit: Characters at most.
    """
    return Content(clean(text, limit))
