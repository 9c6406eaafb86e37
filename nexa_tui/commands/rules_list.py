"""`nexa rules list` and `reload`: what is evaluated, and how that went."""

from datetime import UTC, datetime

from nexa_node.contract.alerts import Rule, RulesLoaded
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, Cell, age, clean
from nexa_tui.commands.reach import add_target_options, reach

_HEALTH = {"ok": "good", "err": "bad", "unknown": "dim"}


def list_rules(arguments: list[str], call: Call) -> int:
    """List the rules in force, those that fail first."""
    parser = Parser("rules list", "The rules in force, and how they do.")
    parser.add_argument("--group", metavar="NAME")
    parser.add_argument(
        "--failing", action="store_true", help="only those that can't be evaluated"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        page = node.get("/v1/rules", Page[Rule])
    items = [
        rule
        for rule in page.items
        if options.group in (None, rule.group)
        and (rule.health == "err" or not options.failing)
    ]
    if options.json:
        call.json({"items": items, "next_cursor": None})
        return 0
    now = datetime.now(UTC)
    items.sort(key=lambda rule: rule.health != "err")
    call.table(
        ("RULE", "GROUP", "FILE", "WHERE", "HEALTH", "ALERTS", "EVALUATED", "ERROR"),
        [_row(rule, now) for rule in items],
        empty="no rule fails"
        if options.failing and page.items
        else "no rule is in force: nexa node status",
    )
    return 0


def _row(rule: Rule, now: datetime) -> tuple[str | Cell, ...]:
    return (
        rule.name,
        rule.group,
        rule.file,
        "each node" if rule.local else "cluster",
        Cell(rule.health, _HEALTH[rule.health]),
        "-" if rule.kind == "recording" else str(rule.alerts),
        age(rule.evaluated, now),
        rule.error[:100],
    )


def reload_rules(arguments: list[str], call: Call) -> int:
    """Have all nodes read their rule files anew."""
    parser = Parser("rules reload", "Have all nodes read their rule files anew.")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        told = node.post("/v1/rules/reload", RulesLoaded)
    if options.json:
        call.json(told)
        return 0
    files = ", ".join(clean(name) for name in told.files)
    call.line(f"{told.rules} rules in {told.groups} groups are in force, from {files}")
    for warning in told.warnings:
        call.note(f"warning: {warning}")
    return 0
