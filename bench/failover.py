"""How long anybody waits when a node of three goes: by fault, in seconds.

Nodes, agents and clients are processes of their own on this machine. The faults are those
of `tests/system/chaos`; partitions need root. The victim is always the node that is the
controller, and has an agent at work that dies with it; the next fault waits until all is
well again.

    python bench/failover.py [--runs 10] [--faults kill-both,stop-node,cut] [--json FILE]

- session: until an agent that was at the victim was welcomed by another node
- task: until a task whose agent died with its node was given to another agent
- controller: until a survivor said that another one is it
- writes: the longest time in which no survivor took a submission
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
from readme import rewrite
from servers import machine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.system.chaos.history import pair, read_lines
from tests.system.chaos.plan import Step
from tests.system.chaos.town import Shape, Town
from tests.system.chaos.vocabulary import VOCABULARY, chosen, unable
from tests.system.crashes.facts import CAPABILITY
from tests.system.crashes.figures import quantiles

FAULTS = "kill-node,kill-both,stop-node,cut"
LEASES = {"leases.lease_ms": "30000"}
"""The default: the town's own is shorter."""
HELD_S = 30.0
PACE_S = 0.05
LOOK_S = 0.05
LONG_MS = 600_000
SLOTS = 16
READY_S = 60.0
SERVICES = ("session", "task", "controller", "writes")
NOTHING = {"type": CAPABILITY, "data": {"work_ms": 0, "poison": False}}


Found = dict[str, dict[str, list[float]]]
"""By fault and service: seconds of each trial."""


class Writer:
    """Submits through every survivor in turn, and notes when it was answered."""

    def __init__(self, town: Town, victim: int) -> None:
        self.done: list[float] = []
        self._urls = [url for at, url in enumerate(town.urls()) if at != victim]
        self._headers = {"Authorization": f"Bearer {town.admin}"}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(url,), daemon=True)
            for url in self._urls
        ]

    def __enter__(self) -> "Writer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def _run(self, url: str) -> None:
        with httpx.Client(
            base_url=url, headers=self._headers, timeout=15.0, trust_env=False
        ) as http:
            while not self._over.wait(PACE_S):
                try:
                    answer = http.post("/v1/tasks", json=NOTHING)
                except httpx.TransportError:
                    continue
                if answer.is_success:
                    self.done.append(time.monotonic())

    def gap(self, began: float) -> float:
        """The longest time without an answer since then, by any survivor."""
        since = [began, *sorted(at for at in self.done if at > began)]
        return max(after - before for before, after in pairwise(since))


class Trial:
    """One fault at one node, with all that is measured."""

    def __init__(self, town: Town, kind: str) -> None:
        self._town = town
        self._survivor = 0
        self._victim = victim = self._controller()
        self._survivor = (victim + 1) % len(town.names)
        step = Step(0.0, kind, victim, HELD_S, chance=1)
        self._fault = VOCABULARY[kind](town, step)
        self._agent = f"resumes-{time.monotonic_ns()}"
        self._doomed = f"doomed-{time.monotonic_ns()}"
        self.found: dict[str, float] = {}

    def run(self) -> dict[str, float]:
        town, victim = self._town, self._victim
        self._at_victim("receiver", self._agent)
        self._at_victim("worker", self._doomed, "1")
        task = self._task()
        self._heir = f"heir-{time.monotonic_ns()}"
        words = (self._heir, str(SLOTS))
        town.client("worker", *words, first=self._survivor)
        with Writer(town, victim) as writer:
            time.sleep(1.0)  # what is normal
            began = time.monotonic()
            town.clients[self._doomed].kill()
            striking = threading.Thread(target=self._fault.start)
            striking.start()  # a restart takes its time, and is watched meanwhile
            watch: dict[str, Callable[[], bool]] = {
                "task": lambda: self._ask(f"/v1/tasks/{task}").get("claim_epoch", 0) > 1
            }
            if self._fault.kind != "kill-store":
                watch["session"] = lambda: self._is_back(began)
                watch["controller"] = self._has_another
            self._watch(watch, began)
            striking.join()
            self._fault.heal()
            self.found["writes"] = writer.gap(began)
        self._clear(task)
        return self.found

    def _watch(self, watch: dict[str, Callable[[], bool]], began: float) -> None:
        while watch and time.monotonic() < began + HELD_S:
            for name in [name for name, is_so in watch.items() if is_so()]:
                self.found.setdefault(name, time.monotonic() - began)
                del watch[name]
            time.sleep(LOOK_S)

    def _at_victim(self, role: str, name: str, *words: str) -> None:
        """Have an agent at the victim: its list of nodes begins there."""
        town = self._town
        town.client(role, name, *words, first=self._victim)
        end = time.monotonic() + 20
        while self._agents().get(name, {}).get("node") != town.names[self._victim]:
            if time.monotonic() > end:
                raise AssertionError(f"{name} is not at {town.names[self._victim]}")
            time.sleep(LOOK_S)

    def _task(self) -> str:
        body = {"type": CAPABILITY, "data": {"work_ms": LONG_MS, "poison": False}}
        answer = httpx.post(
            f"{self._town.urls()[self._survivor]}/v1/tasks",
            json=body,
            headers={"Authorization": f"Bearer {self._town.admin}"},
            timeout=15.0,
            trust_env=False,
        )
        task = str(answer.json()["id"])
        end = time.monotonic() + 20
        while self._ask(f"/v1/tasks/{task}").get("agent") != self._doomed:
            if time.monotonic() > end:
                raise AssertionError(f"{task} does not go to {self._doomed}")
            time.sleep(LOOK_S)
        return task

    def _is_back(self, began: float) -> bool:
        log = self._town.folder / f"{self._agent}.jsonl"
        for op in pair(read_lines([log])):
            if op.kind == "session.back" and op.returned and op.returned > began:
                self.found["session"] = op.returned - began
                return True
        return False

    def _controller(self) -> int:
        """Which node is the controller."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            name = self._cluster().get("controller")
            if name in self._town.names:
                return self._town.names.index(name)
            time.sleep(LOOK_S)
        raise AssertionError("no node is the controller")

    def _has_another(self) -> bool:
        victim = self._town.names[self._victim]
        return self._cluster().get("controller") not in {None, victim}

    def _cluster(self) -> dict[str, Any]:
        return self._ask("/v1/cluster")

    def _agents(self) -> dict[str, dict[str, Any]]:
        told = self._ask("/v1/agents?limit=1000").get("items", [])
        return {one["id"]: one for one in told}

    def _ask(self, path: str) -> dict[str, Any]:
        return self._town.ask(self._survivor, path) or {}

    def _clear(self, task: str) -> None:
        httpx.post(
            f"{self._town.urls()[self._survivor]}/v1/tasks/{task}/cancel",
            headers={"Authorization": f"Bearer {self._town.admin}"},
            timeout=15.0,
            trust_env=False,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="of each fault")
    parser.add_argument("--faults", default=FAULTS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write-readme", action="store_true")
    given = parser.parse_args()
    found: Found = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="nexa-bench-") as temporary:
        where = machine(Path(temporary))
        _trials(Path(temporary), given.faults, given.runs, found)
    lines = _table(found)
    print("\n".join(lines))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.encode({"machine": where, "all": found}))
    if given.write_readme:
        rewrite("failover", lines, where=where, runs=given.runs)
    return 0


def _trials(folder: Path, faults: str, runs: int, found: Found) -> None:
    """Have the faults take turns."""
    kinds = chosen(faults)
    missing = unable(kinds, folder, 3)
    for kind, why in missing.items():
        print(f"no {kind} here: {why}", file=sys.stderr)
    kinds = [kind for kind in kinds if kind not in missing]
    wired = any(VOCABULARY[kind].needs == "wire" for kind in kinds)
    with Town(folder, Shape(nodes=3, wired=wired, settings=LEASES)) as town:
        for kind in kinds * runs:
            try:
                told = Trial(town, kind).run()
            finally:
                for name in list(town.clients):
                    town.clients.pop(name).kill()
            for name, seconds in told.items():
                found[kind][name].append(seconds)
            words = {name: round(took, 2) for name, took in told.items()}
            print(f"{kind} {words}", file=sys.stderr, flush=True)
            for wrong in [*town.wait_healthy(READY_S), *town.surprises]:
                print(wrong, file=sys.stderr)


def _table(found: Found) -> list[str]:
    lines = [
        f"| seconds, p50 / worst | {' | '.join(SERVICES)} | trials |",
        "| --- |" + " --- |" * (len(SERVICES) + 1),
    ]
    for kind, figures in found.items():
        cells = [
            f"{quantiles(figures[name])['p50_s']:.1f} / {max(figures[name]):.1f}"
            if figures.get(name)
            else "–"
            for name in SERVICES
        ]
        count = max(map(len, figures.values()))
        lines.append(f"| `{kind}` | {' | '.join(cells)} | {count} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
