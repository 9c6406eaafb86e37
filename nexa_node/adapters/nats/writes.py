"""Group commit: writes that wait for the same stream share one fsync.

A synced write alone costs one fsync. An atomic batch costs seven, whatever its size,
and as much processor time in nats-server as fifteen to twenty writes. So up to `ALONE`
writes are on their way one by one, as many more wait behind them, and only when
`GROUP_MIN` wait do they go together. With few callers nothing ever waits.

A batch that nats-server refuses changes nothing; its members then go one by one, in
their order, so each gets the answer it would have got alone.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import msgspec

from nexa_node.adapters.nats import wire
from nexa_node.adapters.nats.message import Msg, header_block
from nexa_node.adapters.nats.session import NO_RESPONDERS, Lost, NoResponders, Session
from nexa_node.contract.errors import NexaError, Unavailable

ALONE = 4
"""On their way one by one at the same time: enough to keep nats-server busy."""
GROUP_MIN = 24
"""Fewer cost less one by one. Of the pairs that were tried with bench/store.py, this one
and the one above were never worse than no batches, and twice as fast with 64 callers."""
GROUP_MAX = 256
GROUP_BYTES = 1024**2
WAITING_MAX = 20_000
WAITING_BYTES = 64 * 1024**2
"""Over these a write is refused at once: it could not be stored in time anyway."""
REST_MIN, REST_MAX = 64, 65_536
"""Writes that go alone after a refused batch; twice as many after each next one."""

_acks = msgspec.json.Decoder(wire.PubAck)


@dataclass(slots=True)
class Tally:
    """What was sent since the connection was made."""

    alone: int = 0
    batches: int = 0
    batched: int = 0
    """Writes that a batch stored."""
    refused: int = 0
    """Batches that nats-server refused."""


class Write:
    """One message on its way into a stream. An `Asker` when it goes alone."""

    __slots__ = (
        "block",
        "deadline",
        "future",
        "is_exact",
        "is_single",
        "is_unsure",
        "message_id",
        "payload",
        "stream",
        "subject",
        "try_s",
        "until",
    )

    def __init__(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str,
        headers: dict[str, str],
        deadline: float,
        try_s: float,
    ) -> None:
        """Say what to store.

        Args:
            subject: One of a stream.
            payload: The message.
            message_id: Its idempotency key.
            headers: All of them but the message id.
            deadline: The loop's time after which nobody waits any more.
            try_s: How long an answer may take, once it is sent.
        """
        self.subject = subject
        self.payload = payload
        self.message_id = message_id
        self.block = header_block({wire.MSG_ID: message_id, **headers})
        self.is_exact = wire.EXPECTED_LAST in headers or wire.ROLLUP in headers
        self.is_single = False
        """Whether it has to go alone."""
        self.is_unsure = False
        """Whether an earlier try may have stored it."""
        self.deadline = deadline
        self.try_s = try_s
        self.until = deadline
        self.future: asyncio.Future[wire.PubAck] = (
            asyncio.get_running_loop().create_future()
        )
        self.stream: Stream | None = None

    @property
    def size(self) -> int:
        """Bytes it holds."""
        return len(self.payload) + len(self.block)

    def again(self) -> None:
        """Be ready for another try, alone."""
        self.is_single = True
        self.future = asyncio.get_running_loop().create_future()

    def take(self, message: Msg) -> None:
        """It was answered."""
        if not self.future.done():
            if message.status == NO_RESPONDERS:
                self.future.set_exception(NoResponders(self.subject))
            else:
                self._decode(message.data)
        if self.stream is not None:
            self.stream.came_back()

    def fail(self, error: Exception) -> None:
        """It was not."""
        self.drop(error)
        if self.stream is not None:
            self.stream.came_back()

    def done(self, ack: wire.PubAck) -> None:
        """It is stored."""
        if not self.future.done():
            self.future.set_result(ack)

    def drop(self, error: Exception) -> None:
        """Give it up."""
        if not self.future.done():
            self.future.set_exception(error)

    def _decode(self, data: bytes) -> None:
        try:
            self.future.set_result(_acks.decode(data))
        except msgspec.DecodeError as error:
            self.future.set_exception(
                Unavailable(f"{self.subject}: the answer can't be read: {error}")
            )


class _Batch:
    """Writes that go together. An `Asker`: the answer is the last one's."""

    __slots__ = ("stream", "until", "writes")

    def __init__(self, stream: "Stream", writes: list[Write], until: float) -> None:
        self.stream = stream
        self.writes = writes
        self.until = until

    def take(self, message: Msg) -> None:
        if message.status is not None:  # nobody listens
            self.stream.batch_refused(self.writes, is_unsure=False)
            return
        try:
            ack = _acks.decode(message.data)
        except msgspec.DecodeError:
            ack = wire.PubAck(error=wire.ApiError())
        if ack.error is not None or ack.count != len(self.writes):
            code = 0 if ack.error is None else ack.error.err_code
            is_unsure = code not in wire.BATCH_NOT_STORED
            self.stream.batch_refused(self.writes, is_unsure=is_unsure)
        else:
            first = ack.seq - len(self.writes) + 1
            for position, write in enumerate(self.writes):
                write.done(wire.PubAck(stream=ack.stream, seq=first + position))
            self.stream.batch_stored(len(self.writes))

    def fail(self, error: Exception) -> None:
        for write in self.writes:
            write.drop(type(error)())
        self.stream.batch_over()


class Stream:
    """The writes to the subjects that begin alike, and so to one stream, in order."""

    def __init__(self, session: Session, name: str, tally: Tally) -> None:
        """Send over `session`; `name` is part of the batches' ids."""
        self.session = session
        self._name = name
        self._tally = tally
        self._waiting: deque[Write] = deque()
        self._bytes = 0
        self._under_way = 0
        self._batch: list[Write] = []
        """What is under way as one."""
        self._batches = 0
        self._is_crowded = False
        """Whether a batch was stored just now: its callers may all come again at once,
        so the first of them waits for the others until the end of this turn."""
        self._rest = 0
        self._penalty = 0

    def put(self, write: Write) -> None:
        """Send `write` as soon as it is its turn; its future is told.

        Raises:
            Lost: The session has ended.
            PayloadTooLarge: The server would close the connection over it.
            Unavailable: Too many wait already.
        """
        self.session.check(write.payload)
        if (
            len(self._waiting) >= WAITING_MAX
            or self._bytes + write.size > WAITING_BYTES
        ):
            raise Unavailable(
                f"the store is overloaded: {len(self._waiting):,} writes wait",
                remedy="fewer callers at once; a faster disk",
                retry_after_ms=1000,
            )
        write.stream = self
        write.until = write.deadline
        self._waiting.append(write)
        self._bytes += write.size
        self.session.sweep_soon()
        if not self._is_crowded:
            self._pump()
        elif len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._end_of_turn)

    def came_back(self) -> None:
        """A write that went alone is over."""
        self._under_way -= 1
        self._pump()

    def batch_stored(self, size: int) -> None:
        """All of a batch is safe."""
        self._tally.batched += size
        self._penalty = 0
        self._is_crowded = True
        self.batch_over()

    def batch_refused(self, writes: list[Write], *, is_unsure: bool) -> None:
        """Send the members of a batch one by one, before anything else.

        Args:
            writes: The members.
            is_unsure: Whether some may have been stored. nats-server looks at all of a
                batch before it stores any; what fails after that is rare.
        """
        self._tally.refused += 1
        self._penalty = min(max(2 * self._penalty, REST_MIN), REST_MAX)
        self._rest = self._penalty
        for write in reversed(writes):
            write.is_single = True
            write.is_unsure = write.is_unsure or is_unsure
            write.until = write.deadline
            self._waiting.appendleft(write)
            self._bytes += write.size
        self.batch_over()

    def batch_over(self) -> None:
        """The next may go."""
        self._batch = []
        self._pump()

    def sweep(self, now: float) -> bool:
        """Give up what has waited too long; whether anything still waits."""
        for write in self._batch:
            if write.deadline <= now:
                write.drop(TimeoutError())
        late = [write for write in self._waiting if write.deadline <= now]
        for write in late:
            self._waiting.remove(write)
            self._bytes -= write.size
            write.drop(TimeoutError())
        return bool(self._waiting or self._batch)

    def end(self) -> None:
        """The session is lost: nothing that waits was sent."""
        while self._waiting:
            self._waiting.popleft().drop(Lost())
        self._bytes = 0

    def _end_of_turn(self) -> None:
        self._is_crowded = False
        self._pump()

    def _pump(self) -> None:
        while self._waiting and not self._batch and not self.session.is_lost:
            if self._waiting[0].future.done():  # its caller was cancelled
                self._pop()
            elif self._rest <= 0 and len(self._waiting) >= GROUP_MIN and self._group():
                return
            elif self._under_way < ALONE:
                self._alone(self._pop())
            else:
                return

    def _pop(self) -> Write:
        write = self._waiting.popleft()
        self._bytes -= write.size
        return write

    def _alone(self, write: Write) -> None:
        self._under_way += 1
        self._rest -= 1
        self._tally.alone += 1
        write.until = min(write.deadline, _now() + write.try_s)
        try:
            self.session.ask(write.subject, write.payload, write, block=write.block)
        except (Lost, NexaError, ValueError) as error:
            self._under_way -= 1
            write.drop(error)

    def _group(self) -> bool:
        """Send what waits as one batch; False if too few of it may go together."""
        count = self._how_many()
        if count < GROUP_MIN:
            return False
        writes = [self._pop() for _ in range(count)]
        batch = _Batch(self, writes, _now() + writes[0].try_s)
        self._batch = writes
        self._batches += 1
        self._tally.batches += 1
        try:
            self._send(batch, f"{self.session.name}{self._name}{self._batches}")
        except (Lost, NexaError, ValueError):
            self.batch_refused(writes, is_unsure=False)
        return True

    def _how_many(self) -> int:
        """How many from the front may be one batch.

        nats-server compares with what was there before the batch, and refuses a message
        id twice: the second to do either waits for the first.
        """
        subjects: set[str] = set()
        ids: set[str] = set()
        size = 0
        for count, write in enumerate(self._waiting):
            size += write.size
            is_second = write.is_exact and write.subject in subjects
            if (
                write.is_single
                or is_second
                or write.message_id in ids
                or size > GROUP_BYTES
                or count == GROUP_MAX
                or write.future.done()
            ):
                return count
            subjects.add(write.subject)
            ids.add(write.message_id)
        return len(self._waiting)

    def _send(self, batch: _Batch, name: str) -> None:
        last = len(batch.writes)
        for number, write in enumerate(batch.writes, 1):
            block = write.block + wire.batch_block(name, number, commit=number == last)
            if number < last:
                self.session.link.publish(write.subject, write.payload, "", block)
            else:
                self.session.ask(write.subject, write.payload, batch, block=block)


def _now() -> float:
    return asyncio.get_running_loop().time()
