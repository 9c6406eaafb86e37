"""What can be done to a network: cuts, delay and loss between nodes, and to clients."""

import time
from collections.abc import Sequence

from tests.system.chaos.faults import Fault
from tests.system.chaos.wire import HOST, Rule


class Cut(Fault):
    """A node is cut off from the others; by chance also from the clients."""

    kind = "cut"
    needs = "wire"

    def start(self) -> None:
        self._set(self._rules())

    def heal(self) -> None:
        self._set([])

    def _rules(self) -> list[Rule]:
        found: list[Rule] = []
        for other in self._others():
            found += [
                Rule(self.node, other, loss=1.0),
                Rule(other, self.node, loss=1.0),
            ]
        return found

    def _others(self) -> list[int]:
        others = [one for one in range(len(self.town.names)) if one != self.node]
        return [*others, HOST] if self.chance.random() < 0.5 else others

    def _set(self, rules: Sequence[Rule]) -> None:
        assert self.town.wire is not None
        self.town.wire.rule(rules)


class CutOneWay(Cut):
    """What a node sends to the others is lost, and it hears them; or the reverse."""

    kind = "cut-one-way"

    def _rules(self) -> list[Rule]:
        others = [one for one in range(len(self.town.names)) if one != self.node]
        if self.chance.random() < 0.5:
            return [Rule(self.node, other, loss=1.0) for other in others]
        return [Rule(other, self.node, loss=1.0) for other in others]


class CutLink(Cut):
    """Two nodes do not hear each other, and both hear the rest."""

    kind = "cut-link"

    def _rules(self) -> list[Rule]:
        other = (self.node + 1) % len(self.town.names)
        return [Rule(self.node, other, loss=1.0), Rule(other, self.node, loss=1.0)]


class Flap(Cut):
    """Cut and whole in turn, for 0.2 to 2 s each."""

    kind = "flap"

    def start(self) -> None:
        pass

    def hold(self) -> None:
        end = time.monotonic() + self.step.held_s
        rules, cut = self._rules(), False
        while time.monotonic() < end:
            cut = not cut
            self._set(rules if cut else [])
            time.sleep(self.chance.uniform(0.2, 2.0))


class Delay(Cut):
    """All that a node sends and gets comes 50 to 200 ms late, out of order."""

    kind = "delay"

    def _rules(self) -> list[Rule]:
        late, more = self.chance.uniform(50, 150), self.chance.uniform(0, 50)
        everybody = [*range(len(self.town.names)), HOST]
        return [
            Rule(source, target, delay_ms=late, jitter_ms=more)
            for source in everybody
            for target in everybody
            if self.node in {source, target} and source != target
        ]


class Loss(Cut):
    """5 to 30 % of all that a node sends and gets is lost."""

    kind = "loss"

    def _rules(self) -> list[Rule]:
        part = self.chance.uniform(0.05, 0.3)
        everybody = [*range(len(self.town.names)), HOST]
        return [
            Rule(source, target, loss=part)
            for source in everybody
            for target in everybody
            if self.node in {source, target} and source != target
        ]


class CutClients(Fault):
    """Clients' connections to a node are reset, and it takes no new ones."""

    kind = "cut-clients"
    needs = "proxies"

    def start(self) -> None:
        assert self.town.proxies is not None
        self.town.proxies.cut(self.whom)

    def heal(self) -> None:
        assert self.town.proxies is not None
        self.town.proxies.heal(self.whom)


class StallClients(CutClients):
    """Clients' connections to a node stay open and carry nothing."""

    kind = "stall-clients"

    def start(self) -> None:
        assert self.town.proxies is not None
        self.town.proxies.stall(self.whom)


class SlowClients(CutClients):
    """What passes between clients and a node comes 20 to 200 ms late."""

    kind = "slow-clients"

    def start(self) -> None:
        assert self.town.proxies is not None
        self.town.proxies.slow(self.whom, self.chance.uniform(0.02, 0.2))
