"""The demo's crew: starts the nodes and the agents, submits the work, cleans up.

`python -m nexa_tui.commands.demo_crew`, with NEXA_HOME set to a throw-away folder. It
ends, and ends all it started, when its standard input is closed.
"""

import argparse
import math
import os
import random
import select
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import NexaError
from nexa_node.contract.ids import time_ordered_id
from nexa_node.contract.messages import Address, NewMessage, Sent
from nexa_node.contract.nodes import Cluster, NodeStatus
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    NewTask,
    Priority,
    RetryPolicy,
    Submitted,
    TaskSummary,
)
from nexa_tui.client.rest import Rest
from nexa_tui.commands.demo import Tally
from nexa_tui.commands.demo_failover import Failover
from nexa_tui.commands.demo_nodes import Nodes

WORK = Path(__file__).with_name("demo_work.py")
KINDS = ("words", "digest", "compress", "longest")
SPEEDS = (1, 1, 2, 8)
"""How many times faster than the slowest; agents take turns with them."""
SLOWEST_S = 1.6
_BEAT_S = 0.1
_LAST_S = 3.0
"""How long a submission that is on its way is waited for."""
_INCIDENT_EVERY_S = 12.0
_PRIORITIES: tuple[Priority, ...] = (
    "low",
    "normal",
    "normal",
    "normal",
    "high",
    "critical",
)


class Crew:
    """What was started, and what must be ended."""

    def __init__(
        self, *, agents: int, scenario: str, nodes: int = 1, watched: bool = False
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            agents: How many.
            scenario: `calm`, `incident` or `failover`.
            nodes: How many.
            watched: Whether a person looks through the first node.
        """
        self.size = agents
        self.incident = scenario == "incident"
        self.random = random.Random(agents)
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.nodes = Nodes(os.environ, nodes)
        self.failover: Failover | None = None
        if scenario == "failover":
            spare = self.nodes.first if watched else None
            self.failover = Failover(self.nodes, self.random, spare=spare)
        self.submitted: set[str] = set()
        """Ids of the tasks that a node said it has."""
        self.longest_s = 0.0
        """The longest that a submission took."""
        self.failed: NexaError | None = None
        """Why nothing is submitted any more."""
        self.over = threading.Event()
        self.began = time.monotonic()
        self.files = _real_files()
        self.note = ""

    def start(self) -> None:
        """Start the nodes, then the agents.

        Raises:
            NexaError: A node could not start or could not join.
        """
        self.nodes.start(lambda note: _tell(Tally(state="starting", note=note)))
        for number in range(self.size):
            self._start_agent(number)
        self.began = time.monotonic()

    def _start_agent(self, number: int) -> None:
        speed = SPEEDS[number % len(SPEEDS)]
        name = f"{KINDS[number % len(KINDS)]}-{number + 1:02d}"
        words = [
            sys.executable,
            "-m",
            "nexa_node.agent",
            "run",
            "--id",
            name,
            "--quiet",
        ]
        for kind in {KINDS[number % len(KINDS)], KINDS[(number + 1) % len(KINDS)]}:
            words += ["--capability", kind]
        words += ["--label", f"speed={speed}", "--"]
        words += [sys.executable, "-S", "-E", str(WORK), f"{SLOWEST_S / speed:.3f}"]
        environ = dict(os.environ, NEXA_URL=self.nodes.urls(number))
        token = self.nodes.token()
        if token:
            environ["NEXA_TOKEN"] = token
        self.agents[name] = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environ,
        )

    def due(self, elapsed_s: float) -> int:
        """How many tasks should have been submitted by now: the rate comes in waves."""
        rate = 0.22 * self.size
        wave = math.sin(elapsed_s * math.tau / 40)
        return int(rate * (elapsed_s + 6.0 * (1 - wave)))

    def submit_all(self) -> None:
        """Submit what is due until it is over; a thread's work, since it may wait."""
        try:
            while not self.over.wait(_BEAT_S):
                due = self.due(time.monotonic() - self.began)
                while len(self.submitted) < due and not self.over.is_set():
                    self.submit()
        except NexaError as error:
            self.failed = error

    def submit(self) -> None:
        """Submit one task over a real file; in an incident some files are missing."""
        path = self.random.choice(self.files)
        if self.random.random() < (0.15 if self.incident else 0.02):
            path = path.with_suffix(".missing")
        task = NewTask(
            type=self.random.choice(KINDS[: max(2, min(len(KINDS), self.size + 1))]),
            data={"path": str(path)},
            priority=self.random.choice(_PRIORITIES),
            retry=RetryPolicy(max_attempts=2, backoff_ms=500),
        )
        now_ms = int(time.time() * 1000)
        key = time_ordered_id(now_ms, self.random.randbytes(10))
        began = time.monotonic()
        told = self.nodes.call(
            lambda node: node.post(
                "/v1/tasks", Submitted, body=task, headers={"Idempotency-Key": key}
            )
        )
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        self.submitted.add(told.id)

    def strike(self) -> None:
        """Kill an agent that is at work, and put another in its place."""
        page = self.nodes.call(lambda node: node.get("/v1/agents", Page[Agent]))
        busy = [
            agent.id
            for agent in page.items
            if agent.inflight and agent.id in self.agents
        ]
        if not busy:
            return
        victim = self.random.choice(busy)
        process = self.agents.pop(victim)
        process.kill()
        process.wait()
        self.note = f"killed {victim} at work"
        self._start_agent(int(victim.rpartition("-")[2]) - 1)

    def announce(self, tally: Tally) -> None:
        """Tell who follows the demo's topics how far it is."""
        if tally.state != "running":
            return
        how = {
            "submitted": tally.submitted,
            "completed": tally.completed,
            "failed": tally.failed,
            "waiting": tally.waiting,
        }
        said = [NewMessage(to=Address(topic="demo.progress"), type="tally", data=how)]
        if tally.note:
            incident = Address(topic="demo.incidents")
            said.append(NewMessage(to=incident, type="incident", data=tally.note))
        for message in said:
            with suppress(NexaError):  # nobody waits for it: the next one tells more
                self.nodes.call(
                    lambda node, body=message: node.post(
                        "/v1/messages", Sent, body=body
                    )
                )

    def tally(self) -> Tally:
        """Count what came of it, as a node that answers has it."""
        if self.failover is not None and self.failover.notes:
            self.note = self.failover.notes.popleft()
        note, self.note = self.note, ""
        told = self.nodes.call(lambda node: self._tally(node, note))
        for error in (self.failed, self.failover and self.failover.failed):
            if error is not None:
                return Tally(state="failed", note=error.message, remedy=error.remedy)
        return told

    def _tally(self, node: Rest, note: str) -> Tally:
        known = set(
            self.submitted
        )  # before the node is asked: all of them must be there
        status = node.get("/v1/node", NodeStatus)
        cluster = node.get("/v1/cluster", Cluster)
        page = node.get("/v1/tasks", Page[TaskSummary], query={"limit": 1000})
        done = [task for task in page.items if task.status == "completed"]
        took = sorted(
            (task.finished - task.submitted).total_seconds() * 1000
            for task in done
            if task.finished is not None
        )
        counts = status.tasks
        assert counts is not None
        missing = len(known - {str(task.id) for task in page.items})
        failover = self.failover
        return Tally(
            state="running",
            elapsed_s=time.monotonic() - self.began,
            submitted=len(known),
            completed=counts.completed,
            failed=counts.failed + counts.dead_lettered,
            waiting=counts.pending,
            running=counts.running + counts.assigned,
            agents=sum(one.agents for one in cluster.nodes if one.state == "running"),
            p50_ms=took[len(took) // 2] if took else None,
            p99_ms=took[min(len(took) - 1, len(took) * 99 // 100)] if took else None,
            per_agent=dict(Counter(str(task.agent) for task in done)),
            note=note,
            nodes=len(self.nodes.names),
            voting=cluster.quorum.have,
            kills=failover.kills if failover else 0,
            heals=failover.heals if failover else 0,
            longest_ms=self.longest_s * 1000,
            missing=None if page.next_cursor else missing,
        )

    def stop(self) -> None:
        """End every agent, then the nodes, then remove the folder."""
        self.over.set()
        if self.failover is not None:
            self.failover.wait()
        for process in self.agents.values():
            process.terminate()
        for process in self.agents.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)
            process.kill()
            process.wait()
        self.nodes.stop()
        shutil.rmtree(os.environ["NEXA_HOME"], ignore_errors=True)


def _real_files() -> list[Path]:
    """The files to work on: nexa's own sources, which are there wherever nexa is."""
    root = Path(__file__).parents[2]
    files = [
        path for top in ("nexa_node", "nexa_tui") for path in (root / top).rglob("*.py")
    ]
    return sorted(path for path in files if path.stat().st_size)


def _tell(tally: Tally) -> None:
    """Tell the parent, whether it listens or not."""
    _say(tally)


def _say(tally: Tally) -> bool:
    """Tell the parent; False when it doesn't listen any more."""
    try:
        sys.stdout.write(msgspec.json.encode(tally).decode() + "\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _parent_is_gone(wait_s: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], wait_s)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)


def _work(crew: Crew) -> None:
    told = struck = time.monotonic()
    submitting = threading.Thread(target=crew.submit_all, daemon=True)
    submitting.start()
    while not _parent_is_gone(_BEAT_S):
        now = time.monotonic()
        if crew.incident and now - struck >= _INCIDENT_EVERY_S:
            struck = now
            crew.strike()
        if crew.failover is not None:
            crew.failover.beat(now - crew.began)
        if now - told >= 1.0:
            told = now
            # A parent that shows the console may read no tallies: its pipe may be closed.
            tally = crew.tally()
            _say(tally)
            crew.announce(tally)
    crew.over.set()
    submitting.join(_LAST_S)


def main() -> int:
    """Start, work until the parent is gone, clean up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--watched", action="store_true")
    options = parser.parse_args()
    crew = Crew(
        agents=options.agents,
        scenario=options.scenario,
        nodes=options.nodes,
        watched=options.watched,
    )
    try:
        crew.start()
        if _say(Tally(state="ready")):
            _work(crew)
    except NexaError as error:
        _say(Tally(state="failed", note=error.message, remedy=error.remedy))
        return 1
    finally:
        crew.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
