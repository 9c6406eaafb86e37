"""`nexa namespace`: what is in namespaces, what each may use, and what is left of it."""

import math
from datetime import datetime
from typing import Any, TypeVar, get_args

import msgspec

from nexa_node.contract.access import NamespaceView
from nexa_node.contract.errors import NotFound
from nexa_node.contract.quotas import Allowance, Limits, Period, Quota
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, Usage, choose_verb
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.records import Listed, checked_id, list_records, on_record

T = TypeVar("T", bound=msgspec.Struct)
NONE = "none"
"""Instead of a number: no limit any more."""
_LIMITS = {
    "agents": "connected at once",
    "waiting": "tasks that wait for an agent",
    "tasks_per_s": "submissions, through each node",
    "messages_per_s": "messages, through each node",
}
_BUDGET = {
    "tokens": "input and output together, in a period",
    "cost_usd": "in a period",
    "agent_tokens": "of each agent by itself",
    "agent_cost_usd": "of each agent by itself",
}


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verbs = {"list": _list, "show": _show, "set": _set, "clear": _clear}
    verb, rest = choose_verb("namespace", arguments, tuple(verbs), default="list")
    return verbs[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    return list_records(_NAMESPACES, arguments, call)


def _row(one: NamespaceView, now: datetime) -> tuple[str, ...]:
    del now
    budget = one.budget
    left = "-" if budget is None else f"{budget.remaining:.0%} left"
    limits = "-" if one.quota is None else ", ".join(_words(one.quota)) or "-"
    return (one.name, str(one.agents), str(one.tasks), left, limits)


_NAMESPACES = Listed(
    command="namespace list",
    about="List namespaces: those in which there is something, or that have limits.",
    path="/v1/namespaces",
    page=Page[NamespaceView],
    titles=("NAMESPACE", "AGENTS", "TASKS", "BUDGET", "MAY USE"),
    row=_row,
    empty="no namespaces: agents and tasks make them, or nexa namespace set NAME",
)


def _words(quota: Quota) -> list[str]:
    """What was set, in short."""
    told = {
        **msgspec.structs.asdict(quota.limits),
        **msgspec.structs.asdict(quota.budget),
    }
    return [
        f"{name}={told[name]:,}"
        for name in (*_LIMITS, *_BUDGET)
        if told[name] is not None
    ]


def _find(node: Rest, name: str) -> NamespaceView | None:
    page = node.get("/v1/namespaces", Page[NamespaceView], query={"limit": PAGE_MAX})
    return next((one for one in page.items if one.name == name), None)


def _show(arguments: list[str], call: Call) -> int:
    def ask(node: Rest, name: str) -> NamespaceView:
        found = _find(node, name)
        if found is None:
            raise NotFound(
                f"nothing is in the namespace {name}, and nothing is set for it",
                remedy="nexa namespace list",
            )
        return found

    def tell(one: NamespaceView, call: Call) -> None:
        call.line(f"agents      {one.agents}")
        call.line(f"tasks       {one.tasks}")
        call.line(f"may use     {', '.join(_words(one.quota)) if one.quota else '-'}")
        if one.budget is None or one.quota is None:
            return
        spent = one.budget.spent
        call.line(f"budget      {one.budget.state}, {one.budget.remaining:.0%} left")
        call.line(f"spent       {spent.tokens:,} tokens, {spent.cost_usd:,.2f} USD")
        period = one.quota.budget.period
        call.line(f"resets      {one.budget.resets:%Y-%m-%d %H:%M} UTC, each {period}")
        if one.budget.agents:
            call.line(clean(f"agents out  {', '.join(one.budget.agents)}", 2000))

    about = "What a namespace may use, and what is left of it."
    return on_record("namespace show", about, arguments, call, ask=ask, tell=tell)


def _set(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "namespace set",
        "Set what a namespace may use; what is not named stays as it was.",
    )
    parser.add_argument("name", metavar="NAME")
    for names in (_LIMITS, _BUDGET):
        for name, about in names.items():
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, metavar=f"N|{NONE}", help=about)
    parser.add_argument(
        "--period", choices=get_args(Period), help="of the calendar, UTC"
    )
    parser.add_argument("--warn-at", metavar="SHARE", help="told when so much is spent")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    limits = _given(options, _LIMITS)
    budget = _given(options, (*_BUDGET, "warn_at"))
    if options.period is not None:
        budget["period"] = options.period
    if not limits and not budget:
        raise Usage(
            "nothing is to be set", remedy="nexa namespace set NAME --tokens 1000000"
        )
    with reach(options, call) as node:
        name = checked_id(options.name)
        known = _find(node, name)
        before = known.quota if known is not None and known.quota else Quota(name=name)
        wanted = Quota(
            name=name,
            limits=_changed(before.limits, limits, Limits),
            budget=_changed(before.budget, budget, Allowance),
        )
        kept = node.post("/v1/namespaces", Quota, body=wanted)
    if options.json:
        call.json(kept)
    else:
        call.line(clean(f"{kept.name}: {', '.join(_words(kept)) or 'no limits'}", 500))
    return 0


def _given(options: Any, names: Any) -> dict[str, float | int | None]:
    found: dict[str, float | int | None] = {}
    for name in names:
        text = getattr(options, name)
        if text is not None:
            found[name] = None if text == NONE else _number(name, text)
    return found


def _number(name: str, text: str) -> float | int:
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        option = f"--{name.replace('_', '-')}"
        raise Usage(f"{option} takes a number, or {NONE}: not {clean(text, 40)!r}")
    return int(number) if number == int(number) else number


def _changed(before: T, given: dict[str, Any], kind: type[T]) -> T:
    return msgspec.convert({**msgspec.structs.asdict(before), **given}, kind)


def _clear(arguments: list[str], call: Call) -> int:
    def ask(node: Rest, name: str) -> Quota:
        node.delete(f"/v1/namespaces/{name}")
        return Quota(name=name)

    def tell(quota: Quota, call: Call) -> None:
        call.line(f"{clean(quota.name)} has no limits any more")

    about = "End the limits of a namespace; what is in it stays."
    return on_record("namespace clear", about, arguments, call, ask=ask, tell=tell)
