"""All clusters an operator knows, one row each: which of them needs somebody."""

from collections.abc import Sequence

import msgspec

from nexa_node.contract.alerts import Alert
from nexa_node.contract.errors import NexaError
from nexa_node.contract.nodes import Cluster, NodeStatus
from nexa_tui.state.alerts import is_problem
from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order
from nexa_tui.state.severity import mark
from nexa_tui.state.text import clean


class ClusterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One that is known by name, and what it said of itself when it was asked."""

    key: str
    """`node:NAME` of this machine, or `context:NAME`."""
    name: str
    url: str
    current: bool
    """Whether it is the one that is watched."""
    production: bool = False
    read_only: bool = False
    status: NodeStatus | None = None
    cluster: Cluster | None = None
    alerts: tuple[Alert, ...] = ()
    error: NexaError | None = None
    """Why nothing of that is known."""

    @property
    def verdict(self) -> str:
        """The cluster's own word; `unknown` if it does not answer."""
        return "unknown" if self.cluster is None else self.cluster.verdict

    @property
    def waiting(self) -> tuple[Alert, ...]:
        """Alerts that wait for somebody."""
        return tuple(one for one in self.alerts if is_problem(one))


def once_each(rows: Sequence[ClusterRow]) -> tuple[ClusterRow, ...]:
    """Leave one row of this machine's nodes that are one cluster: the watched, or the first.

    Contexts are left as they are: their names are an operator's own.
    """
    kept: list[ClusterRow] = []
    seen: set[str] = set()
    for row in sorted(rows, key=lambda one: not one.current):
        ids = {node.id for node in row.cluster.nodes} if row.cluster else set[str]()
        if row.key.startswith("node:"):
            if seen & ids:
                continue
            seen |= ids
            if row.cluster is not None and len(ids) > 1:
                name = f"{row.cluster.name} › {row.name}"
                row = msgspec.structs.replace(row, name=name)  # noqa: PLW2901
        kept.append(row)
    return tuple(kept)


def _verdict(row: ClusterRow, look: Look) -> Cell:
    shown = mark("health", clean(row.verdict, 20), ascii_only=look.ascii_only)
    if row.error is not None:
        return Cell(f"{shown.glyph} no answer", "crit")
    return Cell(shown.text, shown.style)


def _marks(row: ClusterRow) -> Cell:
    words = [
        word
        for word, on in (
            ("watched", row.current),
            ("PRODUCTION", row.production),
            ("read-only", row.read_only),
        )
        if on
    ]
    return Cell(" ".join(words) or "-", "warn" if row.production else "muted")


def _why(row: ClusterRow) -> str:
    if row.error is not None:
        return clean(row.error.message, 200)
    reasons = () if row.cluster is None else row.cluster.reasons
    return "; ".join(clean(one, 200) for one in reasons)


def _nodes(row: ClusterRow) -> Cell:
    if row.cluster is None:
        return Cell("-", "muted")
    nodes = row.cluster.nodes
    up = sum(one.state == "running" for one in nodes)
    return Cell(f"{up}/{len(nodes)}", "text" if up == len(nodes) else "warn")


def _alerts(row: ClusterRow) -> Cell:
    if row.cluster is None:
        return Cell("-", "muted")
    many = len(row.waiting)
    worst = min((mark("alert", one.severity).order for one in row.waiting), default=9)
    return Cell(str(many), ("crit" if worst == 0 else "warn") if many else "muted")


CLUSTERS: Listing[ClusterRow] = Listing(
    title="Clusters",
    columns=(
        Column("verdict", "verdict", 13, _verdict,
               lambda r: (0 if r.error else 1, mark("health", r.verdict).order, r.name)),
        Column("name", "cluster", 16, lambda r, _: Cell(clean(r.name, 60), "strong"),
               lambda r: r.name, grows=1),
        Column("nodes", "nodes", 6, lambda r, _: _nodes(r),
               lambda r: len(r.cluster.nodes) if r.cluster else 0, right=True,
               descending=True),
        Column("agents", "agents", 7,
               lambda r, _: Cell(str(r.status.agents) if r.status else "-",
                                 "text" if r.status else "muted"),
               lambda r: r.status.agents if r.status else 0, right=True,
               descending=True, rank=2),
        Column("alerts", "alerts", 7, lambda r, _: _alerts(r),
               lambda r: len(r.waiting), right=True, descending=True),
        Column("role", "as", 9,
               lambda r, _: Cell(clean((r.status and r.status.role) or "-", 20),
                                 "muted"),
               lambda r: r.status.role or "" if r.status else "", rank=3),
        Column("marks", "marks", 20, lambda r, _: _marks(r),
               lambda r: (not r.production, not r.current), rank=2),
        Column("why", "because", 14, lambda r, _: Cell(_why(r) or "-"), _why,
               grows=3, rank=2),
        Column("url", "url", 24, lambda r, _: Cell(clean(r.url, 200), "muted"),
               lambda r: r.url, rank=4),
    ),
    key=lambda row: row.key,
    problem=lambda row: row.verdict != "healthy" or bool(row.waiting),
    address=lambda row: f"nexa://clusters/{row.key}",
    first=Order("verdict"),
    empty=("No cluster is known here.", "nexa login URL --name NAME"),
    note="Enter turns to it",
)  # fmt: skip
"""What is worst comes first."""


def cluster_lines(row: ClusterRow, _: Look) -> Sequence[Line]:
    """One in full."""
    lines: list[Line] = [
        Field("cluster", clean(row.name, 60)),
        Field("address", clean(row.url, 200)),
    ]
    if row.error is not None:
        lines += [Heading("no answer"), Words(clean(row.error.message, 300))]
    return lines
