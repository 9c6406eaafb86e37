"""`nexa notifications`: who was told of alerts, whether it arrived, whether it would."""

from datetime import UTC, datetime
from typing import get_args

from nexa_node.contract.notifications import (
    Delivery,
    DeliveryState,
    ReceiversTested,
    ReceiverTest,
)
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import EXIT_FAILED, Call, Cell, age
from nexa_tui.commands.reach import add_target_options, reach

_VERBS = ("list", "test")
_STYLES: dict[DeliveryState, str] = {
    "delivered": "good",
    "failed": "bad",
    "retrying": "warn",
    "waiting": "accent",
    "superseded": "dim",
}
_TITLES = (
    "CREATED", "RECEIVER", "KIND", "WHY", "ALERTS", "FIRING", "OVER", "STATE", "TRIES",
    "NODE", "DETAIL",
)  # fmt: skip


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("notifications", arguments, _VERBS, default="list")
    return _list(rest, call) if verb == "list" else _test(rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "notifications list", "Who was told of alerts, and whether it arrived."
    )
    parser.add_argument("--receiver", metavar="NAME")
    parser.add_argument("--state", choices=get_args(DeliveryState))
    parser.add_argument(
        "--local",
        action="store_true",
        help="only what this node told by itself: works without a quorum",
    )
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    query = {
        name: getattr(options, name)
        for name in ("receiver", "state", "limit", "cursor")
    }
    with reach(options, call) as node:
        page = node.get(
            "/v1/notifications",
            Page[Delivery],
            query={**query, "local": True if options.local else None},
        )
    if options.json:
        call.json(page)
        return 0
    now = datetime.now(UTC)
    call.table(
        _TITLES,
        [_row(one, now) for one in page.items],
        empty="nobody was told of anything: nexa notifications test",
    )
    if page.next_cursor:
        call.note(f"there are more: nexa notifications --cursor {page.next_cursor}")
    return 0


def _row(delivery: Delivery, now: datetime) -> tuple[str | Cell, ...]:
    return (
        age(delivery.created, now),
        delivery.receiver,
        delivery.kind,
        delivery.reason,
        ", ".join(delivery.alerts)[:60],
        str(delivery.firing),
        str(delivery.resolved),
        Cell(delivery.state, _STYLES[delivery.state]),
        str(delivery.attempts),
        delivery.node,
        delivery.detail[:80],
    )


def _test(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "notifications test", "Send a test to a receiver, or to all there are."
    )
    parser.add_argument("receiver", nargs="?", default="", metavar="RECEIVER")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        told = node.post(
            "/v1/notifications/test",
            ReceiversTested,
            body=ReceiverTest(receiver=options.receiver),
        )
    if options.json:
        call.json(told)
    else:
        call.table(
            ("RECEIVER", "KIND", "RESULT", "TOOK", "DETAIL"),
            [
                (
                    one.receiver,
                    one.kind,
                    Cell("delivered", "good")
                    if one.delivered
                    else Cell("failed", "bad"),
                    f"{one.took_ms:.0f} ms",
                    one.detail[:120],
                )
                for one in told.items
            ],
            empty="no receiver is set up",
        )
    return 0 if all(one.delivered for one in told.items) else EXIT_FAILED
