"""What can be done to processes: each fault is started, held for a while, and healed."""

import random
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from tests.system.chaos.plan import Step, storm
from tests.system.chaos.programs import Program, Starting
from tests.system.chaos.town import Town, lives, wait_gone
from tests.system.conftest import until

BACK_S = 40.0


class Fault:
    """One kind of fault, at one victim."""

    kind = ""
    needs = ""
    """`wire`, `disk`, `clocks`, `proxies`: what the town must have; or nothing."""

    def __init__(self, town: Town, step: Step) -> None:
        self.town = town
        self.step = step
        self.node = step.whom % len(town.names)
        self.chance = random.Random(step.chance)

    @property
    def whom(self) -> str:
        return self.town.names[self.node]

    def start(self) -> None:
        raise NotImplementedError

    def hold(self) -> None:
        """Let the time pass in which it lasts."""
        time.sleep(self.step.held_s)

    def heal(self) -> None:
        raise NotImplementedError


class KillNode(Fault):
    """kill -9 of the node's process; its nats-server is killed with it by the system."""

    kind = "kill-node"

    def start(self) -> None:
        victims = [one for one in (self.town.node(self.node),) if one]
        _kill(victims)

    def heal(self) -> None:
        self.town.start(self.node)


class KillBoth(KillNode):
    """kill -9 of the node and its nats-server at once: a machine without power."""

    kind = "kill-both"

    def start(self) -> None:
        _kill(self.town.family(self.node))


class KillStore(Fault):
    """kill -9 of the nats-server; its node starts it again by itself."""

    kind = "kill-store"

    def start(self) -> None:
        store = self.town.store(self.node)
        _kill([store] if store else [])

    def hold(self) -> None:
        """It comes back by itself."""

    def heal(self) -> None:
        until(lambda: self.town.store(self.node), "the store is back", BACK_S)


class Restart(Fault):
    """`nexa node stop`, then `start`: nobody should notice."""

    kind = "restart"

    def start(self) -> None:
        self.town.command(self.node, "node", "stop")

    def hold(self) -> None:
        """As soon as it can be."""

    def heal(self) -> None:
        self.town.start(self.node)


class OfAgent(Fault):
    """Something done to a worker."""

    @property
    def agent(self) -> Program:
        workers = [one for one in self.town.clients.values() if one.role == "worker"]
        return workers[self.step.whom % len(workers)]

    @property
    def whom(self) -> str:
        return self.agent.name


class KillAgent(OfAgent):
    """kill -9 of an agent at work."""

    kind = "kill-agent"

    def start(self) -> None:
        self.agent.kill()

    def heal(self) -> None:
        self.agent.start()


class StopAgent(OfAgent):
    """SIGSTOP of an agent: it wakes up and believes that it still has its tasks."""

    kind = "stop-agent"

    def start(self) -> None:
        self.agent.process.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        self.agent.process.send_signal(signal.SIGCONT)


class StopNode(Fault):
    """SIGSTOP of a node and its nats-server: a machine that hangs, and goes on."""

    kind = "stop-node"

    def start(self) -> None:
        self._victims = self._choose()
        for victim in self._victims:
            victim.suspend()

    def _choose(self) -> list[psutil.Process]:
        return self.town.family(self.node)

    def heal(self) -> None:
        for victim in self._victims:
            with suppress(psutil.NoSuchProcess):
                victim.resume()


class StopStore(StopNode):
    """SIGSTOP of the nats-server alone: its connections stay and say nothing."""

    kind = "stop-store"

    def _choose(self) -> list[psutil.Process]:
        store = self.town.store(self.node)
        return [store] if store else []


class Stutter(StopStore):
    """The nats-server runs a tenth of the time: a starved processor, a disk that is slow."""

    kind = "stutter"
    _STOPPED_S, _RUNS_S = 0.09, 0.01

    def hold(self) -> None:
        end = time.monotonic() + self.step.held_s
        while time.monotonic() < end:
            for victim in self._victims:
                victim.resume()
                time.sleep(self._RUNS_S)
                victim.suspend()
            time.sleep(self._STOPPED_S)


class Storm(Fault):
    """Nodes are killed every 0.1 to 1 s and come back after 0.5 to 2 s: the prototype's."""

    kind = "storm"

    @property
    def whom(self) -> str:
        return "all"

    def start(self) -> None:
        self.kills = 0

    def hold(self) -> None:
        nodes = len(self.town.names)
        blows = storm(self.step.chance, seconds=self.step.held_s, nodes=nodes)
        began = time.monotonic()
        back: dict[int, float] = {}
        starting: dict[int, Starting] = {}
        while blows or back:
            now = time.monotonic() - began
            while blows and blows[0].at <= now:
                blow = blows.pop(0)
                if blow.node in back:
                    continue
                if blow.node in starting:
                    _end_start(starting.pop(blow.node))
                _kill(self.town.family(blow.node))
                self.kills += 1
                back[blow.node] = now + blow.back_s
            for node, at in list(back.items()):
                if at <= now:
                    del back[node]
                    starting[node] = self.town.begin(node)
            time.sleep(0.02)  # until the next look
        for node, one in starting.items():
            if one.wait(BACK_S):
                self.town.start(node)

    def heal(self) -> None:
        for node in range(len(self.town.names)):
            if self.town.node(node) is None:
                self.town.start(node)


def _kill(victims: Sequence[psutil.Process]) -> None:
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    wait_gone([one for one in victims if lives(one)])


def _end_start(starting: Starting) -> None:
    """A node that is killed while it starts: its starter is told by the exit."""
    threading.Thread(target=starting.wait, args=(BACK_S,), daemon=True).start()
