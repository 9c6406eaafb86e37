"""`nexa cluster conflicts`: where two did something at once, and what each side did."""

from urllib.parse import quote

from nexa_node.contract.errors import NotFound
from nexa_node.contract.rest import Page
from nexa_node.contract.shared import ConflictRecord, Side, Written
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach

_VALUE_MAX = 200


def run(arguments: list[str], call: Call) -> int:
    """List conflicts, or show one with both histories."""
    parser = Parser(
        "cluster conflicts",
        "Values that a later writer has replaced unseen, and what each side of a\n"
        "partition did while it was apart; of the last 30 days, the newest first.",
    )
    parser.add_argument(
        "verb", nargs="?", choices=("list", "show"), default="list", metavar="list|show"
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="which one, to show")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    if options.verb == "show" and not options.id:
        raise NotFound("which conflict?", remedy="nexa cluster conflicts")
    with reach(options, call) as node:
        if options.verb == "show":
            path = f"/v1/conflicts/{quote(options.id, safe='')}"
            one = node.get(path, ConflictRecord)
            if options.json:
                call.json(one)
            else:
                _print(one, call)
            return 0
        page = node.get("/v1/conflicts", Page[ConflictRecord])
    if options.json:
        call.json(page)
        return 0
    call.table(
        ("TIME", "KIND", "ID", "WHAT"),
        [
            (f"{one.time:%Y-%m-%d %H:%M:%S}Z", one.kind, one.id, one.message)
            for one in page.items
        ],
        empty="no conflicts in the last 30 days",
    )
    return 0


def _print(one: ConflictRecord, call: Call) -> None:
    call.line(clean(one.message, 300), "bold")
    call.line(f"  {one.time:%Y-%m-%d %H:%M:%S}Z, {one.kind}, {clean(one.subject, 120)}")
    for side in one.sides:
        call.line()
        _print_side(side, call)


def _print_side(side: Side, call: Call) -> None:
    holds = "what it did holds" if side.kept else "what it did does not hold"
    call.line(f"{clean(side.name, 120)}: {holds}", "good" if side.kept else "warn")
    for told in side.did:
        call.line(f"  {clean(told, 300)}")
    for write in side.writes:
        call.line(f"  {_value(write)}", "dim")


def _value(write: Written) -> str:
    import msgspec

    value = msgspec.json.encode(write.value).decode("utf-8", "replace")
    return f"{clean(write.by, 60)}: {clean(value, _VALUE_MAX)}"
