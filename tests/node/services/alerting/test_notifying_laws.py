"""Whatever fails, in whatever order: in the end every receiver knows what is true."""

import asyncio
import random
from contextlib import suppress

import msgspec
import pytest

from nexa_node.contract.alerts import Alert
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.policies import RoutePolicy
from nexa_node.ports import Sent
from tests.alerting import BUSY, OK, MemoryDeliveries, alert
from tests.fakes import FakeClock, settle
from tests.node.services.alerting.test_notifying import Bench

ROUTES = (
    RoutePolicy(
        receivers=("ops",),
        group_by=("team",),
        group_wait_ms=500,
        group_interval_ms=2000,
    ),
)
NAMES = [(name, team) for name in "ABC" for team in ("x", "y")]
KEPT_S = 30.0
"""How long the board keeps what is over."""


class World:
    """A receiver that fails at times, and what it believes."""

    def __init__(self, rng: random.Random, clock: FakeClock) -> None:
        self.rng, self.clock, self.healed = rng, clock, False
        self.numbers: dict[str, int] = {}
        self.firing: dict[str, set[str]] = {}
        self.contents: dict[str, object] = {}

    async def send(self, notification: Notification) -> Sent:
        before = self.contents.setdefault(notification.id, notification.notices)
        assert before == notification.notices, "one id, two contents"
        await self._dawdle()
        if not self.healed and self.rng.random() < 0.3:
            return BUSY
        self._take(notification)
        await self._dawdle()
        lost = not self.healed and self.rng.random() < 0.2
        return BUSY if lost else OK

    async def _dawdle(self) -> None:
        if not self.healed and self.rng.random() < 0.3:
            await self.clock.sleep(self.rng.choice((0.2, 3.0)))

    def _take(self, notification: Notification) -> None:
        number = int(notification.id.rpartition("-")[2])
        if number < self.numbers.get(notification.group, 0):
            return  # an older one that came late: the id says so
        self.numbers[notification.group] = number
        self.firing[notification.group] = {
            one.fingerprint for one in notification.firing
        }


class Story:
    """Alerts come and go, nodes crash, stores are silent."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock, self.deliveries = FakeClock(), MemoryDeliveries()
        self.world = World(self.rng, self.clock)
        self.board: dict[str, Alert] = {}
        self.nodes: list[tuple[Bench, asyncio.Future[None]]] = []

    def start(self) -> None:
        senders = {"ops": self.world}
        bench = Bench(
            deliveries=self.deliveries,
            clock=self.clock,
            senders=senders,  # type: ignore[arg-type]  # it keeps no list of what it sent
            routes=ROUTES,
        )
        self.nodes.append((bench, asyncio.ensure_future(bench.notifier.run())))

    async def crash(self) -> None:
        _, task = self.nodes.pop(self.rng.randrange(len(self.nodes)))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def turn(self) -> None:
        """One alert begins, or one that fires is over; sometimes silenced."""
        name, team = self.rng.choice(NAMES)
        fresh = alert(name, labels={"team": team}, fired=self.clock.now())
        there = self.board.get(fresh.fingerprint)
        if there is None or there.state == "resolved":
            self.board[fresh.fingerprint] = fresh
        else:
            self.board[fresh.fingerprint] = msgspec.structs.replace(
                there, state="resolved", resolved=self.clock.now()
            )

    async def evaluate(self) -> None:
        now = self.clock.now()
        for key, one in list(self.board.items()):
            if one.resolved and (now - one.resolved).total_seconds() > KEPT_S:
                del self.board[key]
        for bench, _ in self.nodes:
            await bench.notifier.told(list(self.board.values()))
        await settle()

    async def step(self) -> None:
        what = self.rng.random()
        if what < 0.5:
            self.turn()
        elif what < 0.6 and self.nodes:
            await self.crash()
        elif what < 0.75 and len(self.nodes) < 2:
            self.start()
        elif what < 0.85:
            self.deliveries.available = not self.deliveries.available
        await self.evaluate()
        await self.clock.advance(self.rng.choice((0.1, 0.6, 2.1, 10.0)))

    async def heal(self) -> None:
        self.deliveries.available, self.world.healed = True, True
        while len(self.nodes) > 1:
            await self.crash()
        if not self.nodes:
            self.start()
        for _ in range(60):
            await self.evaluate()
            await self.clock.advance(15)

    async def end(self) -> None:
        while self.nodes:
            await self.crash()


@pytest.mark.parametrize("seed", range(30))
async def test_in_the_end_the_receiver_knows_what_is_true(seed: int) -> None:
    story = Story(seed)
    story.start()
    for _ in range(60):
        await story.step()
    await story.heal()
    await story.end()

    true: dict[str, set[str]] = {}
    for one in story.board.values():
        if one.state == "firing":
            key = f'{{}}:{{team="{one.labels["team"]}"}}'
            true.setdefault(key, set()).add(one.fingerprint)
    believed = {key: found for key, found in story.world.firing.items() if found}
    assert believed == true
    assert all(one.value.job is None for one in story.deliveries.records.values())
