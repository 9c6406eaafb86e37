"""Words from outside, fit for one line of a report."""

LIMIT = 300


def printable(text: str, limit: int = LIMIT) -> str:
    """Make foreign text one harmless line.

    Args:
        text: Anything a server, a program or a certificate said.
        limit: The longest result, in characters; a cut is told by `…`.
    """
    shown = "".join(one if one.isprintable() else " " for one in text[: limit * 4])
    line = " ".join(shown.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def decoded(data: bytes, limit: int = LIMIT) -> str:
    """Make foreign bytes one harmless line."""
    return printable(data.decode(errors="replace"), limit)
