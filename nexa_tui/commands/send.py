"""`nexa send TO TYPE`: send a message."""

import math
import sys

from nexa_node.contract.ids import AgentId
from nexa_node.contract.messages import Address, NewMessage, Sent
from nexa_tui.commands.arguments import Parser, seconds
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.payload import read_data
from nexa_tui.commands.reach import add_target_options, reach


def run(arguments: list[str], call: Call) -> int:
    """Send one message; a durable one is in the store when this returns."""
    parser = Parser(
        "send",
        "Send a message to an agent, a capability, a topic or everybody.",
        epilog="TO is an agent's id, capability:NAME (any one), topic:NAME or all (broadcast).",
    )
    parser.add_argument("to")
    parser.add_argument("type")
    parser.add_argument("--data", metavar="JSON|@FILE|-")
    parser.add_argument("--id", help="the idempotency key")
    parser.add_argument("--ttl", type=seconds, metavar="S", help="gone after that")
    parser.add_argument(
        "--fast", action="store_true", help="not stored: lost if it is away"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    message = NewMessage(
        to=_address(options.to),
        type=options.type,
        data=read_data(options.data, sys.stdin.buffer.read),
        id=options.id,
        ttl_ms=None if options.ttl is None else math.ceil(options.ttl * 1000),
        durable=not options.fast,
    )
    with reach(options, call) as node:
        sent = node.post("/v1/messages", Sent, body=message)
    if options.json:
        call.json(sent)
    else:
        call.line(clean(sent.id))
        if sent.duplicate:
            call.note("it was sent before, and is stored once")
    return 0


def _address(to: str) -> Address:
    if to == "all":
        return Address(broadcast=True)
    kind, colon, name = to.partition(":")
    if colon and kind == "capability":
        return Address(capability=name)
    if colon and kind == "topic":
        return Address(topic=name)
    return Address(agent=AgentId(to))
