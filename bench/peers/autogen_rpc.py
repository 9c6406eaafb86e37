"""autogen-core over gRPC: the host, an agent that answers, and one that asks.

    autogen_rpc.py host|answer|ask --address HOST:PORT [--alone N] [--at-once N] [--many N]

Nothing is durable: a message is in the memory of three processes.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass

import measure
from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    message_handler,
    try_get_known_serializers_for_type,
)
from autogen_ext.runtimes.grpc import (
    GrpcWorkerAgentRuntime,
    GrpcWorkerAgentRuntimeHost,
)


@dataclass
class Said:
    text: str


class Answerer(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("answers with what it was told")

    @message_handler
    async def heard(self, message: Said, ctx: MessageContext) -> Said:
        return message


async def host(given: argparse.Namespace) -> None:
    server = GrpcWorkerAgentRuntimeHost(address=given.address)
    server.start()
    measure.tell(ready=True)
    await server.stop_when_signal()


async def answer(given: argparse.Namespace) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=given.address)
    await runtime.start()
    await Answerer.register(runtime, "answerer", Answerer)
    measure.tell(ready=True)
    await runtime.stop_when_signal()


async def ask(given: argparse.Namespace) -> None:
    runtime = GrpcWorkerAgentRuntime(host_address=given.address)
    runtime.add_message_serializer(try_get_known_serializers_for_type(Said))
    await runtime.start()
    to = AgentId("answerer", "default")

    async def one(text: str) -> str:
        return (await runtime.send_message(Said(text), to)).text

    await measure.conversation(one, given)
    await runtime.stop()


if __name__ == "__main__":
    parser = measure.conversation_arguments()
    parser.add_argument("role", choices=("host", "answer", "ask"))
    parser.add_argument("--address", required=True)
    given = parser.parse_args()
    asyncio.run(getattr(sys.modules["__main__"], given.role)(given))
