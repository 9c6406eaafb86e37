"""The failover scenario: a node is killed, the others go on, it comes back; and again.

Everything that is done to the cluster is announced, and what came of it is measured as a
client sees it: the longest a submission had to wait, and how soon all was in step.
"""

import random
import threading
import time
from collections import deque

from nexa_node.contract.errors import NexaError
from nexa_node.contract.nodes import Cluster
from nexa_tui.commands.demo_nodes import Nodes
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_loss import loss

FIRST_S, EVERY_S, DOWN_S = 6.0, 24.0, 8.0
"""When the first node is killed, how long from one to the next, how long each is away."""


class Failover:
    """Kills and heals, one node at a time, never where it would cost the quorum."""

    def __init__(self, nodes: Nodes, rng: random.Random, *, spare: str | None) -> None:
        """Prepare.

        Args:
            nodes: Whom to kill.
            rng: Who is next.
            spare: Never killed: what a person looks through.
        """
        self._nodes = nodes
        self._random = rng
        self._spare = spare
        self._last = ""
        self._next = FIRST_S
        self._healing: threading.Thread | None = None
        self.kills = 0
        self.heals = 0
        self.notes: deque[str] = deque()
        """What was done and what came of it, to be announced."""
        self.failed: NexaError | None = None
        """Why a node did not come back."""

    def beat(self, elapsed_s: float) -> None:
        """Do what is due."""
        if (
            self.failed is not None
            or self._healing is not None
            or elapsed_s < self._next
        ):
            return
        self._next = elapsed_s + EVERY_S
        cluster = self._nodes.call(lambda node: node.get("/v1/cluster", Cluster))
        victim = self._victim(cluster)
        if victim is None:
            self.notes.append("nobody is killed: it would cost the quorum")
            return
        self.notes.append(announcement(cluster, victim))
        self._nodes.kill(victim)
        self.kills += 1
        self._last = victim
        self._healing = threading.Thread(target=self._heal, args=(victim,), daemon=True)
        self._healing.start()

    def wait(self) -> None:
        """Wait for a node that is on its way back: a half-started one can't be stopped."""
        if self._healing is not None:
            self._healing.join()

    def _heal(self, name: str) -> None:
        time.sleep(DOWN_S)
        began = time.monotonic()
        try:
            self.notes.append(f"nexa node start --name {name}")
            self._nodes.heal(name)
            self._nodes.wait_in_step(lambda _: None)
        except NexaError as error:
            self.failed = error
            self.notes.append(f"{name} does not come back: {error.message}")
        else:
            self.heals += 1
            took = time.monotonic() - began
            self.notes.append(f"{name} is back and in step after {took:.1f} s")
        self._healing = None

    def _victim(self, cluster: Cluster) -> str | None:
        """Somebody else than last time; the one that leads more is likelier."""
        view = topology(cluster)
        able: list[str] = []
        for part in view.parts:
            told = loss(view, (), part.name)
            spared = part.name in {self._spare, self._last}
            if told is None or told.breaks or told.margin < 0 or spared or part.down:
                continue
            able += [part.name] * (1 + len(part.leads) + part.controller)
        return self._random.choice(able) if able else None


def announcement(cluster: Cluster, name: str) -> str:
    """Who is killed, and what that hits."""
    part = topology(cluster).part(name)
    if part is None:
        return f"kill -9 {name}"
    hits = [f"{part.node.agents} agents"]
    if part.leads:
        hits.append(f"leads {len(part.leads)} streams")
    if part.controller:
        hits.append("controller")
    return f"kill -9 {name}: {', '.join(hits)}"
