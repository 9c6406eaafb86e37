"""Taking the tasks of one kind: pulls that stay open, and what came by them.

While somebody takes, a pull waits at every consumer that is believed to be empty, so a
new task comes without being asked for; consumers that have more are asked for just what
there is room for. When nobody has taken for a moment, what came and what still comes by
the open pulls is given back: nothing waits here for a slot while another node has one.

Nothing is ever unsubscribed: the server hands out a message and sends it in two steps,
and one that is sent after the subscription ended is lost until its time is over.
"""

import asyncio
import itertools
import secrets

import msgspec
import structlog

from nexa_node.adapters.nats import topology, wire
from nexa_node.adapters.nats.connection import Connection, Refused
from nexa_node.adapters.nats.kinds import Kind, Place, base
from nexa_node.adapters.nats.message import Msg
from nexa_node.adapters.nats.pending import Answers, Spawn
from nexa_node.adapters.nats.session import (
    NO_RESPONDERS,
    Lost,
    NoResponders,
    Session,
    status,
)
from nexa_node.adapters.nats.sources import Arrived, Ask, Source, Sources
from nexa_node.contract.errors import NexaError, Unavailable

WAIT_S = 10.0
"""How long a pull waits; then it is renewed. One whose leader hangs waits for nothing."""
LATE_S = 2.0
"""A pull whose end the server has not told so long after its time is over all the same."""
LINGER_S = 0.1
"""How long what came waits when nobody takes."""
KEPT_S = 0.25
"""How long something may be here while others are handed out before it is given back."""
PAUSE_S = 0.05
FORGET_S = 3600
"""The server forgets a bucket's consumer that nobody asks for so long; tasks stay."""

_ELECTED = f"$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED.{topology.TASKQ}.*"
"""Told when a consumer has another leader, who knows nothing of pulls that are open."""
_BASE = frozenset(base())
_HEARTBEAT = "100"
_REFUSED = "409"
_NO_CONSUMER = 10014

_log = structlog.get_logger("nexa.store")


class _Again(Exception):
    """Begin anew, after a pause."""


class Lane:
    """One kind's consumers, as this node takes from them."""

    def __init__(
        self,
        connection: Connection,
        spawn: Spawn,
        answers: Answers,
        kind: Kind,
        *,
        redeliver_s: float,
    ) -> None:
        """Nothing is asked for before `take`."""
        self._connection = connection
        self._spawn = spawn
        self._answers = answers
        self._kind = kind
        self._redeliver_s = redeliver_s
        self._sources = Sources(kind, _now())
        self._session: Session | None = None
        self._address = ""
        self._numbers = itertools.count()
        self._lock = asyncio.Lock()
        self._resting = True
        self._lingering = False
        self._left = 0.0
        self._trouble: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._mend: bool | None = None

    def expect(self, place: Place) -> None:
        """Take from `place`, too, beginning now."""
        source = self._sources.expect(place, _now())
        if source is not None and self._lock.locked():
            self._spawn(self._join(source))

    def rebuild(self, *, thorough: bool) -> None:
        """Begin anew: pulls, and consumers if `thorough`, with the next `take`."""
        self._mend = thorough
        self._fail(_Again("rebuilt"))

    async def take(self, limit: int, wait_s: float) -> tuple[Session, list[Arrived]]:
        """Take up to `limit`, waiting up to `wait_s` for the first.

        Raises:
            Unavailable: The server does not answer.
        """
        end = _now() + wait_s
        patience = max(end, self._connection.deadline())
        try:
            async with asyncio.timeout_at(patience):
                await self._lock.acquire()
        except TimeoutError:
            raise Unavailable("others take from this queue") from None
        if self._resting:
            self._resting = False
            self._sources.wake()
        try:
            return await self._take(limit, end, patience, exactly=wait_s <= 0)
        finally:
            self._lock.release()
            self._left = _now()
            if not self._lingering:
                self._lingering = True
                self._spawn(self._linger())

    async def _take(
        self, limit: int, end: float, patience: float, *, exactly: bool
    ) -> tuple[Session, list[Arrived]]:
        while True:
            session = await self._connection.session(patience)
            try:
                await self._open(session)
                if exactly:
                    return session, await self._look_around(session, limit)
                found = await self._once(session, limit, end)
            except (Lost, NoResponders, TimeoutError, _Again) as error:
                self._sources.pause()
                self._return(self._sources.leftover())
                if _now() >= patience:
                    raise Unavailable("the queue does not answer") from error
                await asyncio.sleep(PAUSE_S)
            else:
                self._return(self._sources.leftover(_now() - KEPT_S))
                return session, found

    async def _once(self, session: Session, limit: int, end: float) -> list[Arrived]:
        """Ask, and wait until there is something or the time is over."""
        while True:
            plan = self._sources.plan(limit, _now())
            for ask in plan.asks:
                await self._pull(session, ask)
            await self._hear_answers()
            found = self._sources.pick(plan.turns, limit)
            if found or _now() >= end:
                return found
            if any(not ask.wait for ask in plan.asks):
                continue  # others were faster: now a pull has to wait there, too
            if not await self._news(end):
                return []

    async def _look_around(self, session: Session, limit: int) -> list[Arrived]:
        """Take what is there this moment, wherever it is."""
        found: list[Arrived] = []
        while len(found) < limit:
            plan = self._sources.plan(limit - len(found), _now())
            asks = [ask for ask in plan.asks if not ask.wait]
            if not plan.turns:
                asks = [Ask(each, 1, wait=False) for each in self._sources]
            for ask in asks:
                await self._pull(session, ask)
                await self._hear_answers()
            some = self._sources.pick(plan.turns, limit - len(found))
            if not some and not plan.turns:
                break
            found += some
        return found

    # -- what comes ------------------------------------------------------------

    async def _hear_answers(self) -> None:
        """Wait until every pull that ends by itself has ended."""
        until = _now() + self._connection.timeout_s
        while self._sources.asking:
            if not await self._news(until):
                raise TimeoutError

    async def _news(self, until: float) -> bool:
        """Wait until something comes; False when nothing did in time."""
        if self._trouble is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(until):
                    await self._waiter
            except TimeoutError:
                return False
            finally:
                self._waiter = None
        if self._trouble is not None:
            raise self._trouble
        return True

    def _heard(self, session: Session, message: Msg) -> None:
        """Take what the server sends. Called for as long as `session` lasts."""
        code = status(message)
        if code is None:
            if self._resting or session is not self._session:
                self._sources.missed(message)
                self._answers.give_back(message)
                return
            self._sources.took(message, _now())
        elif code != _HEARTBEAT:
            source = self._sources.ended(message.subject)
            if source is not None and code in (_REFUSED, NO_RESPONDERS):
                self._refused(source, message)
        self._wake()

    def _refused(self, source: Source, message: Msg) -> None:
        """A pull ended for a reason of the server's: its consumer may be gone."""
        said = (message.headers or {}).get("Description", "nobody is there")
        source.made = source.fresh = False
        _log.info("a queue is asked anew", queue=source.consumer, cause=said)
        self._fail(_Again(said))

    def _elected(self, session: Session, message: Msg) -> None:
        """A consumer has a new leader: ask that one."""
        consumer = message.subject.rpartition(".")[2]
        if session is self._session and self._sources.lost(consumer):
            _log.info("a queue is asked anew", queue=consumer, cause="a new leader")
            self._fail(_Again("a new leader"))

    def _fail(self, error: Exception) -> None:
        self._trouble = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- pulls and consumers ---------------------------------------------------

    async def _open(self, session: Session) -> None:
        """Listen on `session`, and know what each consumer has where no pull waits."""
        if self._session is not session:
            self._sources.pause()
            self._return(self._sources.leftover())
            self._listen(session)
        if self._mend is not None:
            await self._mend_consumers(thorough=self._mend)
        self._trouble = None
        unknown = [source for source in self._sources if not source.fresh]
        if unknown:
            await asyncio.gather(*(self._look(source) for source in unknown))
            self._sources.forget_idle(_now())

    def _listen(self, session: Session) -> None:
        self._session = session
        self._address = f"_INBOX.{secrets.token_hex(8)}"
        session.listen(f"{self._address}.*", lambda each: self._heard(session, each))
        session.listen(_ELECTED, lambda each: self._elected(session, each))
        session.on_end(lambda: self._ended(session))
        self._answers.resume()

    def _ended(self, session: Session) -> None:
        if session is self._session:
            self._fail(Lost())

    async def _pull(self, session: Session, ask: Ask) -> None:
        reply = f"{self._address}.{next(self._numbers)}"
        if ask.wait:
            body = wire.Pull(batch=ask.batch, expires=int(WAIT_S * wire.SECOND))
            until = _now() + WAIT_S + LATE_S
        else:
            body = wire.Pull(batch=ask.batch, no_wait=True)
            until = _now() + self._connection.timeout_s
        self._sources.opened(ask.source, reply, ask, until)
        await session.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{topology.TASKQ}.{ask.source.consumer}",
            msgspec.json.encode(body),
            reply=reply,
        )

    async def _join(self, source: Source) -> None:
        """Have a place that was not known before covered while somebody waits."""
        session = self._session
        if session is None or source.fresh:
            return
        try:
            await self._look(source)
            if session is self._session and not source.reply:
                await self._pull(session, Ask(source, 1, wait=True))
        except (Lost, NexaError) as error:
            _log.debug("a queue is asked later", cause=repr(error))

    async def _look(self, source: Source) -> None:
        """Find out what a consumer has; make it if there is none."""
        info = await self._info(source) if source.made else None
        if info is None:
            info = await self._make(source)
        source.made = source.fresh = True
        # What was given back is not counted as waiting; then it is worth a look.
        source.known = max(info.num_pending, min(1, info.num_ack_pending))

    async def _info(self, source: Source) -> wire.ConsumerInfo | None:
        subject = f"CONSUMER.INFO.{topology.TASKQ}.{source.consumer}"
        try:
            return await self._connection.call(subject, None, wire.ConsumerInfo)
        except Refused as refused:
            if refused.error.err_code == _NO_CONSUMER:
                return None
            raise Unavailable(f"the queue can't be read: {refused}") from refused

    async def _make(self, source: Source) -> wire.ConsumerInfo:
        is_base = source.place in _BASE
        config = wire.ConsumerConfig(
            name=source.consumer,
            durable_name=source.consumer,
            ack_policy="explicit",
            filter_subject=source.filter,
            ack_wait=int(self._redeliver_s * wire.SECOND),
            max_deliver=-1,
            max_ack_pending=-1,
            inactive_threshold=0 if is_base else FORGET_S * wire.SECOND,
        )
        subject = f"CONSUMER.CREATE.{topology.TASKQ}.{source.consumer}.{source.filter}"
        body = wire.NewConsumer(stream_name=topology.TASKQ, config=config)
        try:
            return await self._connection.call(subject, body, wire.ConsumerInfo)
        except Refused as refused:
            raise Unavailable(
                f"the queue {source.consumer} can't be made: {refused}"
            ) from refused

    async def _mend_consumers(self, *, thorough: bool) -> None:
        """Resume every consumer; if `thorough`, remove it, to be made anew."""
        for source in self._sources:
            verb = "DELETE" if thorough else "PAUSE"
            subject = f"CONSUMER.{verb}.{topology.TASKQ}.{source.consumer}"
            try:
                await self._connection.call(subject, None, wire.ConsumerInfo)
            except Refused as refused:
                _log.debug("a queue is mended", cause=str(refused))
            source.made = False
        self._sources.pause()
        self._mend = None

    # -- the end ---------------------------------------------------------------

    async def _linger(self) -> None:
        """Rest when nobody has taken for a moment."""
        try:
            while _now() < self._left + LINGER_S:
                await asyncio.sleep(self._left + LINGER_S - _now())
                if self._lock.locked():
                    return  # whoever takes now begins this again
            self._resting = True
            self._return(self._sources.leftover())
        finally:
            self._lingering = False

    def _return(self, messages: list[Msg]) -> None:
        for message in messages:
            self._answers.give_back(message)


def _now() -> float:
    return asyncio.get_running_loop().time()
