"""The demo's crew: starts the node and the agents, submits the work, cleans up.

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
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec

from nexa_node.contract.agents import Agent
from nexa_node.contract.errors import NexaError
from nexa_node.contract.nodes import NodeStatus
from nexa_node.contract.rest import Page
from nexa_node.contract.tasks import (
    NewTask,
    Priority,
    RetryPolicy,
    Submitted,
    TaskSummary,
)
from nexa_tui.client.discovery import Target
from nexa_tui.client.launch import start_node, stop_node
from nexa_tui.client.rest import Rest
from nexa_tui.commands.demo import Tally

WORK = Path(__file__).with_name("demo_work.py")
KINDS = ("words", "digest", "compress", "longest")
SPEEDS = (1, 1, 2, 8)
"""How many times faster than the slowest; agents take turns with them."""
SLOWEST_S = 1.6
_BEAT_S = 0.1
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

    def __init__(self, *, agents: int, scenario: str) -> None:
        """Prepare; nothing is started yet."""
        self.size = agents
        self.incident = scenario == "incident"
        self.random = random.Random(agents)
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.target: Target | None = None
        self.submitted = 0
        self.began = time.monotonic()
        self.files = _real_files()
        self.note = ""

    def start(self) -> Rest:
        """Start the node, then the agents.

        Raises:
            NexaError: The node could not start.
        """
        flags = ("--name", "demo", "--port", "0", "--set", "node.cluster=demo")
        self.target = start_node(os.environ, flags=flags)
        for number in range(self.size):
            self._start_agent(number)
        self.began = time.monotonic()
        return Rest(self.target)

    def _start_agent(self, number: int) -> None:
        assert self.target is not None
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
        environ = dict(os.environ, NEXA_URL=self.target.url)
        if self.target.token:
            environ["NEXA_TOKEN"] = self.target.token
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

    def submit(self, node: Rest) -> None:
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
        node.post("/v1/tasks", Submitted, body=task)
        self.submitted += 1

    def strike(self, node: Rest) -> None:
        """Kill an agent that is at work, and put another in its place."""
        busy = [
            agent.id
            for agent in node.get("/v1/agents", Page[Agent]).items
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

    def tally(self, node: Rest) -> Tally:
        """Count what came of it."""
        status = node.get("/v1/node", NodeStatus)
        page = node.get("/v1/tasks", Page[TaskSummary], query={"limit": 1000})
        done = [task for task in page.items if task.status == "completed"]
        took = sorted(
            (task.finished - task.submitted).total_seconds() * 1000
            for task in done
            if task.finished is not None
        )
        counts = status.tasks
        assert counts is not None
        note, self.note = self.note, ""
        return Tally(
            state="running",
            elapsed_s=time.monotonic() - self.began,
            submitted=self.submitted,
            completed=counts.completed,
            failed=counts.failed + counts.dead_lettered,
            waiting=counts.pending,
            running=counts.running + counts.assigned,
            agents=status.agents or 0,
            p50_ms=took[len(took) // 2] if took else None,
            p99_ms=took[min(len(took) - 1, len(took) * 99 // 100)] if took else None,
            per_agent=dict(Counter(str(task.agent) for task in done)),
            note=note,
        )

    def stop(self) -> None:
        """End every agent, then the node, then remove the folder."""
        for process in self.agents.values():
            process.terminate()
        for process in self.agents.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)
            process.kill()
            process.wait()
        if self.target is not None:
            with suppress(NexaError):
                stop_node(self.target, environ=os.environ, timeout_s=15)
        shutil.rmtree(os.environ["NEXA_HOME"], ignore_errors=True)


def _real_files() -> list[Path]:
    """The files to work on: nexa's own sources, which are there wherever nexa is."""
    root = Path(__file__).parents[2]
    files = [
        path for top in ("nexa_node", "nexa_tui") for path in (root / top).rglob("*.py")
    ]
    return sorted(path for path in files if path.stat().st_size)


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


def _work(crew: Crew, node: Rest) -> None:
    told = struck = time.monotonic()
    while not _parent_is_gone(_BEAT_S):
        now = time.monotonic()
        while crew.submitted < crew.due(now - crew.began):
            crew.submit(node)
        if crew.incident and now - struck >= _INCIDENT_EVERY_S:
            struck = now
            crew.strike(node)
        if now - told >= 1.0:
            told = now
            # A parent that shows the console reads no tallies: its pipe may be closed.
            _say(crew.tally(node))


def main() -> int:
    """Start, work until the parent is gone, clean up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--scenario", required=True)
    options = parser.parse_args()
    crew = Crew(agents=options.agents, scenario=options.scenario)
    try:
        with crew.start() as node:
            if _say(Tally(state="ready")):
                _work(crew, node)
    except NexaError as error:
        _say(Tally(state="failed", note=error.message, remedy=error.remedy))
        return 1
    finally:
        crew.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
