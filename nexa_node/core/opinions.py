"""What nodes think of each other, compared: where they differ, a link is broken.

Only opinions of nodes that are heard themselves belong in here: what a dead node thought
last is no evidence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nexa_node.contract.nodes import Opinion

_DEAF = frozenset(("suspect", "dead"))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Some hear a node, others do not."""

    of: str
    heard_by: tuple[str, ...]
    """Who hears it; empty if it is known to live by its own words alone."""
    deaf: tuple[str, ...]
    """Who does not."""
    one_way: tuple[str, ...] = ()
    """Those of the deaf whom the node itself hears."""

    @property
    def words(self) -> str:
        """One sentence for an operator."""
        if self.heard_by:
            hears = "hears" if len(self.heard_by) == 1 else "hear"
            does = "does" if len(self.deaf) == 1 else "do"
            told = (
                f"{_names(self.heard_by)} {hears} {self.of},"
                f" {_names(self.deaf)} {does} not"
            )
        else:
            does = "does" if len(self.deaf) == 1 else "do"
            told = f"{_names(self.deaf)} {does} not hear {self.of}"
        if self.one_way:
            return (
                f"{told}, though {self.of} hears {_names(self.one_way)}:"
                f" the way from {self.of} to {_names(self.one_way)} is broken"
            )
        return (
            f"{told}: the link between {self.of} and {_names(self.deaf)} may be broken"
        )


def disagreements(opinions: Iterable[Opinion]) -> tuple[Disagreement, ...]:
    """Find every node that some hear and others do not, by name.

    What a node thinks of itself counts for nothing here.
    """
    told = {(one.by, one.of): one.suspicion for one in opinions if one.by != one.of}
    found: list[Disagreement] = []
    for of in sorted({of for _, of in told}):
        heard_by = sorted(
            by for (by, about), s in told.items() if (about, s) == (of, "alive")
        )
        deaf = sorted(
            by for (by, about), s in told.items() if about == of and s in _DEAF
        )
        one_way = [name for name in deaf if told.get((of, name)) == "alive"]
        if deaf and (heard_by or one_way):
            found.append(Disagreement(of, tuple(heard_by), tuple(deaf), tuple(one_way)))
    return tuple(found)


def _names(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
