"""Namespaces as rows: what each may use, and what is left of it."""

from collections.abc import Sequence

import msgspec

from nexa_node.contract.access import NamespaceView
from nexa_node.contract.quotas import Quota
from nexa_tui.state.detail import Field, Heading, Line, Words, moment
from nexa_tui.state.formats import percent
from nexa_tui.state.listing import Cell, Column, Listing, Look, Order
from nexa_tui.state.severity import StyleKey
from nexa_tui.state.text import clean

_LIMITS = ("agents", "waiting", "tasks_per_s", "messages_per_s")
_BUDGET = ("tokens", "cost_usd", "agent_tokens", "agent_cost_usd")
_WORDS = {
    "agents": "agents connected",
    "waiting": "tasks that wait",
    "tasks_per_s": "tasks a second",
    "messages_per_s": "messages a second",
    "tokens": "tokens",
    "cost_usd": "USD",
    "agent_tokens": "tokens of each agent",
    "agent_cost_usd": "USD of each agent",
}
_STYLES: dict[str, StyleKey] = {"ok": "ok", "low": "warn", "spent": "crit"}


def _style(one: NamespaceView) -> StyleKey:
    return "muted" if one.budget is None else _STYLES.get(one.budget.state, "text")


def _left(one: NamespaceView) -> float:
    """What is left of its budget; one without a budget has more than all."""
    return 2.0 if one.budget is None else one.budget.remaining


def _figures(quota: Quota, names: Sequence[str]) -> list[tuple[str, str]]:
    """What was set, by its words."""
    told = {
        **msgspec.structs.asdict(quota.limits),
        **msgspec.structs.asdict(quota.budget),
    }
    return [
        (_WORDS[name], f"{told[name]:,}") for name in names if told[name] is not None
    ]


def may_use(one: NamespaceView) -> str:
    """What was set for a namespace, in a line."""
    if one.quota is None:
        return "no limits"
    told = [
        f"{figure} {word}" for word, figure in _figures(one.quota, _LIMITS + _BUDGET)
    ]
    return ", ".join(told) or "no limits"


def _budget(one: NamespaceView, look: Look) -> Cell:
    del look
    if one.budget is None:
        return Cell("-", "muted")
    return Cell(clean(one.budget.state, 20), _style(one))


def _share(one: NamespaceView, look: Look) -> Cell:
    del look
    if one.budget is None:
        return Cell("-", "muted")
    return Cell(percent(one.budget.remaining).strip(), _style(one))


def _tokens(one: NamespaceView) -> int:
    return 0 if one.budget is None else one.budget.spent.tokens


def _cost(one: NamespaceView) -> float:
    return 0.0 if one.budget is None else one.budget.spent.cost_usd


NAMESPACES: Listing[NamespaceView] = Listing(
    title="Access: namespaces",
    columns=(
        Column("namespace", "namespace", 14, lambda n, _: Cell(clean(n.name, 63), "strong"),
               lambda n: n.name, grows=1),
        Column("agents", "agents", 7, lambda n, _: Cell(f"{n.agents:,}"),
               lambda n: n.agents, right=True, descending=True),
        Column("tasks", "tasks", 8, lambda n, _: Cell(f"{n.tasks:,}"),
               lambda n: n.tasks, right=True, descending=True),
        Column("budget", "budget", 7, _budget, _left),
        Column("left", "left", 6, _share, _left, right=True),
        Column("tokens", "tokens", 12, lambda n, _: Cell(f"{_tokens(n):,}" if n.budget else "-"),
               _tokens, right=True, descending=True, rank=2),
        Column("cost", "USD", 10, lambda n, _: Cell(f"{_cost(n):,.2f}" if n.budget else "-"),
               _cost, right=True, descending=True, rank=3),
        Column("may", "may use", 16, lambda n, _: Cell(may_use(n), "muted"), may_use,
               grows=3, rank=4),
    ),
    key=lambda one: one.name,
    problem=lambda one: one.budget is not None and one.budget.state != "ok",
    address=lambda one: f"nexa://namespace/{one.name}",
    first=Order("left", descending=False),
    empty=("There is nothing in any namespace.", "nexa namespace set NAME --tokens N"),
)  # fmt: skip


def namespace_lines(one: NamespaceView, look: Look) -> Sequence[Line]:
    """One namespace: its limits, its budget, and who is out."""
    name = clean(one.name, 63)
    lines: list[Line] = [
        Field("namespace", name, "strong"),
        Field("agents", f"{one.agents:,}"),
        Field("tasks", f"{one.tasks:,}"),
    ]
    quota, budget = one.quota, one.budget
    if quota is not None:
        lines.append(Heading("may use"))
        lines += [Field(*each) for each in _figures(quota, _LIMITS)]
        period = clean(quota.budget.period, 20)
        lines += [
            Field(word, f"{figure} each {period}")
            for word, figure in _figures(quota, _BUDGET)
        ]
    if budget is not None:
        lines += [
            Heading("has used"),
            Field("budget", clean(budget.state, 20), _style(one)),
            Field("left", percent(budget.remaining).strip(), _style(one)),
            Field("tokens", f"{budget.spent.tokens:,}"),
            Field("USD", f"{budget.spent.cost_usd:,.4f}"),
            Field("resets", moment(budget.resets, look)),
            *(Field("out", clean(agent, 63), "warn") for agent in budget.agents),
        ]
    lines.append(Words(f"nexa namespace set {name} --tokens N", "muted"))
    return lines
