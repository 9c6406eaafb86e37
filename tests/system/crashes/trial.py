"""One trial: a fleet at work, a killer, and what is found when all is over."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract.tasks import Task
from tests.system.crashes.checker import Evidence, Violation, check
from tests.system.crashes.facts import (
    Answered,
    Asked,
    Executed,
    Killed,
    Log,
    Refused,
    Tail,
    Told,
    key_of,
)
from tests.system.crashes.figures import report
from tests.system.crashes.fleet import Fleet
from tests.system.crashes.plan import Kill, plan
from tests.system.crashes.reading import read_all

AGENTS = 4
BEAT_S = 0.02
QUIET_S = 120.0
"""Nothing was written for so long: it stands still."""
Saying = Asked | Answered | Refused | Told


@dataclass(frozen=True)
class Order:
    """What to try."""

    tasks: int
    seed: int
    kills: int
    settle_s: float = 60.0
    flags: tuple[str, ...] = ()
    """For `nexa node start`."""


class Trial:
    """A run of one order in one folder."""

    def __init__(self, order: Order, folder: Path, say: Callable[[str], None]) -> None:
        self._order = order
        self._folder = folder
        self._say = say
        self._said = Tail(folder / "submitter.jsonl", Saying)
        self._kills: list[Killed] = []
        self._done: set[str] = set()
        self._heard = 0.0

    def run(self) -> dict[str, Any]:
        """Do it; the report."""
        order = self._order
        found: list[Violation] = []
        with Fleet(self._folder, agents=AGENTS, flags=order.flags) as fleet:
            self._work(fleet)
            self._say("reading the records")
            self._hear()
            said = self._said.facts
            acknowledged = {one.id for one in said if isinstance(one, Answered)}
            records = asyncio.run(
                read_all(fleet.url, fleet.token, acknowledged, settle_s=order.settle_s)
            )
            _keep(records, self._folder / "records.jsonl")
            fleet.look()
            found.extend(Violation("died", "", words) for words in fleet.surprises)
            found.extend(
                Violation("leaked_slots", name, f"{count} tasks in hand, all are done")
                for name, count in fleet.leaked().items()
            )
            executed = _executions(fleet.agent_logs)
        evidence = Evidence(
            keys=[key_of(order.seed, number) for number in range(order.tasks)],
            asked=[one for one in said if isinstance(one, Asked)],
            answered=[one for one in said if isinstance(one, Answered)],
            refused=[one for one in said if isinstance(one, Refused)],
            told=[one for one in said if isinstance(one, Told)],
            executed=executed,
            records=records,
        )
        found.extend(check(evidence))
        return {"seed": order.seed, **report(evidence, self._kills, found)}

    def _work(self, fleet: Fleet) -> None:
        order = self._order
        log = Log(self._folder / "killer.jsonl")
        todo = plan(order.seed, tasks=order.tasks, kills=order.kills, agents=AGENTS)
        clients = fleet.submitter(
            str(order.seed), str(order.tasks), str(self._folder / "submitter.jsonl")
        )
        self._heard = time.monotonic()
        try:
            while clients.poll() is None:
                self._hear()
                while todo and len(self._done) >= todo[0].after:
                    self._kill(fleet, log, todo.pop(0))
                fleet.look()
                if time.monotonic() - self._heard > QUIET_S:
                    raise AssertionError(f"it stands still; see {self._folder}")
                time.sleep(BEAT_S)  # until the next look
        finally:
            log.close()
        if clients.returncode != 0:
            errors = (self._folder / "submitter.err").read_text()
            raise AssertionError(f"the clients ended: {errors[-2000:]}")

    def _kill(self, fleet: Fleet, log: Log, kill: Kill) -> None:
        self._say(f"{len(self._done)} completed: killing {kill.kind}")
        done = fleet.kill(kill)
        self._kills.append(done)
        log.add(done)

    def _hear(self) -> None:
        for fact in self._said.more():
            self._heard = time.monotonic()
            if isinstance(fact, Told):
                self._done.add(fact.id)


def _keep(records: Mapping[str, Task | None], path: Path) -> None:
    """Leave the records beside the logs, for whoever has to find a cause."""
    with path.open("wb") as file:
        for task in records.values():
            file.write(msgspec.json.encode(task) + b"\n")


def _executions(logs: list[Path]) -> list[Executed]:
    found: list[Executed] = []
    for path in logs:
        tail = Tail(path, Executed)
        found.extend(tail.more())
    return found
