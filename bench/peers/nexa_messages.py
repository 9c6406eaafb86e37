"""nexa's messages through its public agent protocol: one role a process.

    nexa_messages.py answer          an agent that answers every question
    nexa_messages.py ask             another that asks it, without durability
    nexa_messages.py durable         one in flight: send → answered, delivered, acknowledged
    nexa_messages.py flood           many senders to as many receivers

NEXA_URL and NEXA_TOKEN say where the node is.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import measure
from nexa_wire import Line, Refused

QUIET_S = 5.0
"""When nothing has come for so long, what is missing is lost."""


async def answer(_given: argparse.Namespace) -> None:
    """Send back what comes, to where the answer is wanted."""

    def heard(method: str, said: dict[str, Any], _: object) -> None:
        if method != "message.deliver":
            return
        to = said.get("reply_to") or said["from"]
        address = {"topic": to} if "." in to else {"agent": to}
        line.call(
            "message.send",
            {
                "to": address,
                "type": "answer",
                "data": said["data"],
                "durable": False,
            },
        )

    line = Line("answerer", heard=heard, slots=0)
    async with line:
        measure.tell(ready=True)
        await asyncio.Event().wait()


class Asker:
    """Asks by `message.request`, or where there is none by messages both ways."""

    def __init__(self) -> None:
        self.line = Line("asker", heard=self._heard, slots=0)
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[str]] = {}

    async def request(self, text: str) -> str:
        question = {"to": {"agent": "answerer"}, "type": "question", "data": text}
        return await self.line.call(
            "message.request", {**question, "durable": False, "timeout_ms": 10_000}
        )

    async def both_ways(self, text: str) -> str:
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        question = {"to": {"agent": "answerer"}, "type": "question"}
        data = {"number": number, "text": text}
        sent = self.line.call(
            "message.send", {**question, "data": data, "durable": False}
        )
        await asyncio.gather(sent, answer)
        return answer.result()

    def _heard(self, method: str, said: dict[str, Any], _: object) -> None:
        if method == "message.deliver":
            data = said["data"]
            self._answers.pop(data["number"]).set_result(data["text"])


async def ask(given: argparse.Namespace) -> None:
    asker = Asker()
    async with asker.line:
        one: Callable[[str], Awaitable[str]] = asker.request
        try:
            await asker.request("hello")
        except Refused:
            one = asker.both_ways
        measure.tell(figures={"by_request": float(one == asker.request)})
        await measure.conversation(one, given)


async def durable(given: argparse.Namespace) -> None:
    """Send, have it delivered, acknowledge it: one after the other."""
    delivered: asyncio.Queue[tuple[int, float]] = asyncio.Queue()

    def heard(method: str, said: dict[str, Any], _: object) -> None:
        if method == "message.deliver":
            delivered.put_nowait((said["seq"], time.perf_counter()))

    took: dict[str, list[float]] = {"answered": [], "delivered": [], "acked": []}
    sender = Line("sender", slots=0)
    receiver = Line("receiver", heard=heard, url=given.to_url, slots=0)
    message = {"to": {"agent": "receiver"}, "type": "note", "data": "x" * given.bytes}
    async with sender, receiver:
        for number in range(20 + given.alone):
            began = time.perf_counter()
            await sender.call("message.send", message)
            answered = time.perf_counter()
            seq, at = await delivered.get()
            await receiver.call("inbox.ack", {"seq": seq})
            if number >= 20:
                took["answered"].append((answered - began) * 1000)
                took["delivered"].append((at - began) * 1000)
                took["acked"].append((time.perf_counter() - began) * 1000)
    quantiles = {
        f"{what}_{name}": value
        for what, all_ in took.items()
        for name, value in measure.quantiles(all_).items()
    }
    measure.tell(figures=quantiles)


class Receiver:
    """Counts what comes; acknowledges all that has come, one call at a time."""

    def __init__(self, name: str, *, acks: bool, url: str | None) -> None:
        self.line = Line(name, heard=self._heard, url=url, slots=0)
        self.count = 0
        self.last = 0.0
        self._acks = acks
        self._upto = self._acked = 0
        self._asking: asyncio.Task[None] | None = None

    def _heard(self, method: str, said: dict[str, Any], _: object) -> None:
        if method != "message.deliver":
            return
        self.count += 1
        self.last = time.perf_counter()
        self._upto = max(self._upto, said["seq"])
        if self._acks and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ack())

    async def _ack(self) -> None:
        while self._acked < self._upto:
            upto = self._upto
            await self.line.call("inbox.ack", {"upto": upto})
            self._acked = upto

    async def settled(self) -> None:
        if self._asking is not None:
            await self._asking


async def flood(given: argparse.Namespace) -> None:
    """Each sender to its own receiver, `at_once` messages in a frame."""
    receivers = [
        Receiver(f"receiver-{each}", acks=given.durable, url=given.to_url)
        for each in range(given.pairs)
    ]
    senders = [Line(f"sender-{each}", slots=0) for each in range(given.pairs)]

    async def send(number: int, count: int) -> None:
        message = {
            "to": {"agent": f"receiver-{number}"},
            "type": "note",
            "data": "x" * given.bytes,
            "durable": given.durable,
        }
        for start in range(0, count, given.at_once):
            some = min(given.at_once, count - start)
            await senders[number].calls("message.send", [message] * some)

    async def all_send(count: int) -> float:
        wanted = sum(each.count for each in receivers) + count * given.pairs
        await asyncio.gather(*(send(each, count) for each in range(given.pairs)))
        answered = time.perf_counter()
        while sum(each.count for each in receivers) < wanted:
            last = max(answered, *(each.last for each in receivers))
            if time.perf_counter() - last > QUIET_S:
                break
            await asyncio.sleep(0.001)
        await asyncio.gather(*(each.settled() for each in receivers))
        return answered

    async with AsyncExitStack() as stack:
        for line in (*senders, *(each.line for each in receivers)):
            await stack.enter_async_context(line)
        await all_send(20)
        before = sum(each.count for each in receivers)
        measure.tell(phase="many")
        began = time.perf_counter()
        answered = await all_send(given.many // given.pairs)
        over = max(time.perf_counter() if given.durable else 0.0, answered)
        measure.tell(phase="over")
        count = sum(each.count for each in receivers) - before
        last = max(over, *(each.last for each in receivers))
        lost = given.many // given.pairs * given.pairs - count
        rate = round(count / (last - began), 1)
        measure.tell(figures={"messages_s": rate, "lost": lost, "count": count})


if __name__ == "__main__":
    parser = measure.conversation_arguments()
    parser.add_argument("role", choices=("answer", "ask", "durable", "flood"))
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--to-url", help="the receivers' node, if it is another one")
    given = parser.parse_args()
    asyncio.run(getattr(sys.modules["__main__"], given.role)(given))
