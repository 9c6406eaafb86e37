"""Plans: what a dangerous operation would do, told before it is done, and by which name."""

from datetime import datetime

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation would do now. Given back as `plan=ID`, only that is done."""

    id: str
    """Of the operation, its arguments and the state it looked at; short-lived."""
    action: str
    """The permission it needs: `cluster:change`."""
    target: str
    """To what; empty if it is the node that is asked, or the body says."""
    what: str
    """In words: what would be done."""
    effects: tuple[str, ...] = ()
    """What it does to whom: its blast radius."""
    counts: dict[str, int] = {}
    """How many of what it touches: `agents`, `tasks`, `nodes`."""
    expires: datetime
    """From then on it is refused, whatever is the case."""
