"""One run: a town at work, faults by a plan, and what is found when all is over."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from nexa_node.contract.tasks import Task
from tests.system.chaos.checker import check
from tests.system.chaos.contested import weaknesses
from tests.system.chaos.controllers import read_log, reigns
from tests.system.chaos.evidence import Evidence
from tests.system.chaos.faults import Fault
from tests.system.chaos.history import (
    Executed,
    Op,
    Received,
    Told,
    pair,
    read_lines,
)
from tests.system.chaos.plan import Step, plan
from tests.system.chaos.registrar import LEASE_S
from tests.system.chaos.report import report
from tests.system.chaos.town import Shape, Town
from tests.system.chaos.vocabulary import VOCABULARY, unable
from tests.system.chaos.windows import Struck
from tests.system.crashes.checker import Violation
from tests.system.crashes.facts import CAPABILITY
from tests.system.crashes.reading import read_all

WORKERS, SUBMITTERS, SENDERS, RECEIVERS = 4, 2, 2, 2
SLOTS = 4
DISK_BYTES, DISK_BYTES_S = 192 * 1024**2, 256 * 1024
"""Of each node's file system, where it is to be filled; more for each second of a run."""
BEGUN_S = 40.0
FIRST = {"message.send", "task.result", "register.read", "lock.acquire"}
HEALED_S = 90.0
CAUGHT_UP_S = 40.0
COUNTED_S = 20.0
READ_S = 60.0
WORKERS_PATH = f"/v1/agents?limit=1000&capability={CAPABILITY}"
AUDIT = "/v1/audit/verify"
"""A node that keeps no audit does not know it."""
READ_AGAIN_S = 2.0
"""So long contested records are read when all is healed: then no read may be stale."""
CLOCK_DEPENDENT = {"double_lease", "backwards"}
"""Of attempts' times, which are those of nodes' wall clocks."""


@dataclass(frozen=True)
class Order:
    """What to do."""

    seed: int
    nodes: int = 3
    seconds: float = 180.0
    kinds: Sequence[str] = ()
    crowd: int = 0
    """Idle agents that balance themselves over the nodes."""
    quick: bool = False
    strict: bool = False
    """Whether a read that a cut-off leader answered is a violation, too."""
    settings: Mapping[str, str] = field(default_factory=dict)


class Run:
    """A run of one order in one folder."""

    def __init__(self, order: Order, folder: Path, say: Callable[[str], None]) -> None:
        self._order = order
        self._folder = folder
        self._say = say
        self._struck: list[Struck] = []
        self._found: list[Violation] = []
        self._notes: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        """Faults that can't be had here, and why."""

    def run(self) -> dict[str, Any]:
        """Do it; the report."""
        order = self._order
        self.skipped = unable(order.kinds, self._folder, order.nodes)
        kinds = [kind for kind in order.kinds if kind not in self.skipped]
        needs = {VOCABULARY[kind].needs for kind in kinds}
        for kind, words in self.skipped.items():
            self._say(f"no {kind} here: {words}")
        disk = DISK_BYTES + round(DISK_BYTES_S * order.seconds)
        shape = Shape(
            nodes=order.nodes,
            wired="wire" in needs,
            disk_bytes=disk if "disk" in needs else 0,
            clocks="clocks" in needs,
            proxied="proxies" in needs,
            seed=order.seed,
            settings=order.settings,
        )
        steps = plan(order.seed, seconds=order.seconds, kinds=kinds, quick=order.quick)
        began = time.monotonic()
        with Town(self._folder, shape) as town:
            built = time.monotonic() - began
            self._say(f"{order.nodes} nodes stand after {built:.1f} s")
            self._clients(town)
            self._work(town, steps)
            evidence = self._settle(town)
            self._found += [Violation("died", "", words) for words in town.surprises]
        found = check(evidence)
        if "clock" in kinds:
            found = [one for one in found if one.kind not in CLOCK_DEPENDENT]
        if not order.strict:
            stale = [one for one in found if one.kind == "stale_read"]
            self._notes["stale_reads"] = [f"{one.subject} {one.words}" for one in stale]
            found = [one for one in found if one not in stale]
        self._found += found
        self._notes["built_s"] = round(built, 1)
        self._notes |= weaknesses(evidence)
        return report(
            order, evidence, self._struck, self._found, self.skipped, self._notes
        )

    def _clients(self, town: Town) -> None:
        receivers = [f"receiver-{number}" for number in range(RECEIVERS)]
        for name in receivers:
            town.client("receiver", name)
        for number in range(WORKERS):
            town.client("worker", f"worker-{number}", str(SLOTS))
        for number in range(SENDERS):
            town.client("sender", f"sender-{number}", *receivers)
        for number in range(SUBMITTERS):
            town.client("submitter", f"submitter-{number}")
        copies = "3" if self._order.nodes >= 3 else "1"
        for number, node in enumerate(town.names):
            words = (str(town.node_folder(number)), copies)
            town.client("registrar", f"registrar-{node}", *words, beside=number)
        if self._order.crowd:
            town.client("crowd", "crowd", str(self._order.crowd))

    def _work(self, town: Town, steps: Sequence[Step]) -> None:
        self._begun(town)
        began = time.monotonic()
        for step in steps:
            self._wait(town, began + step.at)
            fault = VOCABULARY[step.kind](town, step)
            whom = fault.whom
            self._say(f"{time.monotonic() - began:6.1f} s  {step.kind} {whom}")
            at = time.monotonic()
            fault.start()
            fault.hold()
            fault.heal()
            self._end_last(at)
            self._struck.append(
                Struck(step.kind, whom, at, time.monotonic(), settled=float("inf"))
            )
            self._count(fault)
        self._wait(town, began + self._order.seconds)
        self._end_last(time.monotonic())

    def _begun(self, town: Town) -> None:
        """Wait until each kind of client has been answered once."""
        end, done = time.monotonic() + BEGUN_S, set[str]()
        while time.monotonic() < end:
            done = {
                op.kind for op in pair(read_lines(town.logs())) if op.outcome == "ok"
            }
            if done >= FIRST:
                return
            time.sleep(0.2)  # until it is looked again
        self._found.append(Violation("not_begun", "", f"only {sorted(done)} so far"))

    def _end_last(self, now: float) -> None:
        if self._struck and self._struck[-1].settled > now:
            last = self._struck.pop()
            self._struck.append(
                Struck(last.kind, last.whom, last.began, last.healed, settled=now)
            )

    def _count(self, fault: Fault) -> None:
        kills = getattr(fault, "kills", 0)
        if kills:
            self._notes["storm_kills"] = self._notes.get("storm_kills", 0) + kills

    def _wait(self, town: Town, end: float) -> None:
        while time.monotonic() < end:
            town.look()
            time.sleep(min(0.2, max(0.0, end - time.monotonic())))

    def _settle(self, town: Town) -> Evidence:
        """Let all be well again, let clients finish, then read everything."""
        began = time.monotonic()
        wrong = town.wait_healthy(HEALED_S)
        self._notes["healthy_after_s"] = round(time.monotonic() - began, 1)
        if wrong:
            self._found.append(Violation("not_healed", "", "; ".join(wrong)))
        healed = time.monotonic()
        self._say("all is healed; clients finish")
        self._wait(town, healed + READ_AGAIN_S)
        town.stop_clients("submitter", "sender", "registrar")
        ops = self._caught_up(town)
        submitted = {
            str(op.answer["id"])
            for op in ops
            if op.kind == "task.submit" and op.outcome == "ok"
        }
        self._say(f"reading {len(submitted)} records")
        urls = " ".join(town.urls())
        records = asyncio.run(read_all(urls, town.token, submitted, settle_s=READ_S))
        _keep(records, self._folder / "records.jsonl.kept")
        counts, inflight = self._counted(town, records)
        audits = {
            name: told
            for number, name in enumerate(town.names)
            if (told := town.ask(number, AUDIT)) is not None
        }
        town.stop_clients("worker", "receiver", "crowd")
        found = gather(self._folder, records, counts, inflight)
        found = replace(found, audits=audits)
        if not town.shape.clocks:  # else logs of several nodes tell no order
            logs = [read_log(town.log(number)) for number in range(len(town.names))]
            ahead = time.time() - time.monotonic()
            found = replace(found, reigns=reigns(logs, self._struck, ahead))
        return found if wrong else replace(found, healed=healed)

    def _caught_up(self, town: Town) -> list[Op]:
        """Wait until every message that was acknowledged came, or time is over."""
        end = time.monotonic() + CAUGHT_UP_S
        while True:
            lines = list(read_lines(town.logs()))
            ops = pair(lines)
            sent = {
                (op.key, int(op.asked))
                for op in ops
                if op.kind == "message.send" and op.outcome == "ok"
            }
            got = {
                (f"{one.sender}>{one.receiver}", one.number)
                for one in lines
                if isinstance(one, Received)
            }
            if sent <= got or time.monotonic() > end:
                return ops
            time.sleep(0.3)  # until it is looked again

    def _counted(
        self, town: Town, records: Mapping[str, Task | None]
    ) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
        """What each node counts, once it counts right, or when time is over."""
        end = time.monotonic() + COUNTED_S
        while True:
            counts: dict[str, dict[str, int]] = {}
            inflight: dict[str, int] = {}
            for number, name in enumerate(town.names):
                status = town.ask(number, "/v1/node") or {}
                counts[name] = status.get("tasks") or {}
                agents = town.ask(number, WORKERS_PATH) or {"items": []}
                for agent in agents["items"]:
                    if agent["connected"]:
                        inflight[f"{agent['id']} at {name}"] = agent["inflight"]
            total = sum(task is not None for task in records.values())
            right = all(sum(one.values()) == total for one in counts.values())
            if (right and not any(inflight.values())) or time.monotonic() > end:
                return counts, inflight
            time.sleep(0.3)  # until it is asked again


def gather(
    folder: Path,
    records: Mapping[str, Task | None],
    counts: Mapping[str, Mapping[str, int]],
    inflight: Mapping[str, int],
) -> Evidence:
    """Read all logs of a run."""
    lines = list(read_lines(sorted(folder.glob("*.jsonl"))))
    return Evidence(
        ops=pair(lines),
        received=[one for one in lines if isinstance(one, Received)],
        executed=[one for one in lines if isinstance(one, Executed)],
        told=[one for one in lines if isinstance(one, Told)],
        records=records,
        counts=counts,
        inflight=inflight,
        lease_s=LEASE_S,
    )


def judge(folder: Path) -> list[Violation]:
    """Check what a run left behind once more; without what nodes counted."""
    lines = (folder / "records.jsonl.kept").read_bytes().splitlines()
    decode = msgspec.json.Decoder(Kept).decode
    records = {one.id: one.task for one in map(decode, lines)}
    return check(gather(folder, records, {}, {}))


class Kept(msgspec.Struct, frozen=True):
    """A record as it is left beside the logs; None of one that is not there."""

    id: str
    task: Task | None


def _keep(records: Mapping[str, Task | None], path: Path) -> None:
    """Leave the records beside the logs, for whoever has to find a cause."""
    with path.open("wb") as file:
        for one, task in records.items():
            file.write(msgspec.json.encode(Kept(one, task)) + b"\n")


def tell(words: str) -> None:
    """Say how far it is, to whoever watches."""
    os.write(2, f"{words}\n".encode())
