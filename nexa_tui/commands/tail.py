"""`nexa tail TOPIC`: the messages of topics, as they come."""

from collections.abc import Mapping

from nexa_node.contract.messages import Posted
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach

_WAIT_S = 20.0


def run(arguments: list[str], call: Call) -> int:
    """Tell the newest messages; with `--follow`, every further one."""
    parser = Parser(
        "tail",
        "Read the messages of topics: the newest ones, and with --follow what comes.",
        epilog="`*` stands for one token of a topic, a final `>` for the rest:\n"
        "  nexa tail 'reports.>' --follow",
    )
    parser.add_argument("topic")
    parser.add_argument("-f", "--follow", action="store_true", help="until Ctrl-C")
    parser.add_argument(
        "-n", "--lines", type=int, default=10, metavar="N", help="the newest N first"
    )
    parser.add_argument("--all", action="store_true", help="all that is kept first")
    parser.add_argument("--namespace", metavar="NAME")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    if not 0 <= options.lines <= PAGE_MAX:
        raise Usage(
            f"-n: 0 to {PAGE_MAX:,}, not {options.lines:,}", remedy="--all tells all"
        )
    where = {"topic": options.topic, "namespace": options.namespace}
    with reach(options, call) as node:
        last = None if options.all else options.lines
        after, told = _read_on(node, {**where, "last": last}, call, options.json)
        while options.follow or (options.all and told):
            wait_s = _WAIT_S if options.follow else 0.0
            query = {**where, "after": after, "wait_s": wait_s}
            after, told = _read_on(node, query, call, options.json, wait_s=wait_s)
    return 0


def _read_on(
    node: Rest,
    query: Mapping[str, object],
    call: Call,
    as_json: bool,
    *,
    wait_s: float = 0.0,
) -> tuple[int, int]:
    """Tell one page; where the next one begins, and how many there were."""
    page = node.get("/v1/messages", Page[Posted], query=query, wait_s=wait_s)
    for message in page.items:
        if as_json:
            call.json(message)
        else:
            call.line(_line(message, call))
    call.out.flush()
    return int(page.next_cursor or 0), len(page.items)


def _line(message: Posted, call: Call) -> str:
    import msgspec

    data = (
        message.data
        if isinstance(message.data, str)
        else msgspec.json.encode(message.data).decode()
    )
    head = call.paint(f"{message.time:%H:%M:%S}Z", "dim")
    names = f"{clean(message.topic)}  {clean(message.sender)}  {clean(message.type)}"
    return f"{head}  {names}  {clean(data, 2000)}"
