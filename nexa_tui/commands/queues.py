"""`nexa queues`: what waits, and who is there for it."""

from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import PRIORITIES, Queue
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import Call, Cell
from nexa_tui.commands.reach import add_target_options, reach

_TITLES = (
    "QUEUE", "NAMESPACE", "PENDING", "BY PRIORITY", "DELAYED", "RUNNING", "OLDEST",
    "AGENTS", "FREE SLOTS", "DEAD", "STRATEGY",
)  # fmt: skip


def run(arguments: list[str], call: Call) -> int:
    """List queues, those where something waits first."""
    parser = Parser(
        "queues",
        "What waits in each queue, and who is there for it.",
        epilog="Why one task waits: nexa task explain ID",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        page = node.get("/v1/queues", Page[Queue], query={"limit": 1000})
    if options.json:
        call.json(page)
        return 0
    call.table(
        _TITLES,
        [_row(queue) for queue in sorted(page.items, key=lambda one: -one.pending)],
        empty="no task was ever submitted: nexa task submit wc --data @README.md",
    )
    return 0


def _row(queue: Queue) -> tuple[str | Cell, ...]:
    stuck = queue.pending > queue.delayed and queue.agents == 0
    counts = " ".join(
        f"{queue.by_priority[each]} {each}"
        for each in PRIORITIES
        if queue.by_priority.get(each)
    )
    oldest = "-" if queue.oldest_wait_s is None else f"{queue.oldest_wait_s:.1f}s"
    return (
        queue.name,
        queue.namespace,
        Cell(str(queue.pending), "bad" if stuck else None),
        counts or "-",
        str(queue.delayed),
        str(queue.running),
        oldest,
        Cell(str(queue.agents), "bad" if stuck else None),
        f"{queue.free_slots} of {queue.slots}",
        Cell(str(queue.dead_lettered), "warn" if queue.dead_lettered else None),
        queue.strategy,
    )
