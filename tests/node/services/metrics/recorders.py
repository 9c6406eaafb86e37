"""Recorders of several nodes over one net in memory."""

from collections.abc import AsyncIterator, Iterable

from nexa_node.contract.errors import Unavailable
from nexa_node.core.exposition import Counter, Family, Gauge, Sample
from nexa_node.ports import Handler, Tick
from nexa_node.services.metrics.recorder import Fellows, Recorder
from tests.fakes import FakeClock, RecordingJournal


class Net:
    """What nodes tell each other reaches all that are up, at once."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.nodes: dict[str, Place] = {}
        self.cut: set[str] = set()

    def tell(self, tick: Tick) -> None:
        for name, place in self.nodes.items():
            if not {name, tick.node} & self.cut and name != tick.node:
                place.recorder.hear(tick)


class File:
    def __init__(self) -> None:
        self.content: bytes | None = None
        self.aside: bytes | None = None
        self.full = False

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        if self.full:
            raise Unavailable("the disk is full")
        self.content = content

    def set_aside(self) -> str:
        self.aside, self.content = self.content, None
        return "history.damaged"


class Place:
    """One node: its recorder, what it reads, its file."""

    def __init__(self, net: Net, name: str, file: File | None = None) -> None:
        self.net, self.name = net, name
        self.journal = RecordingJournal()
        self.file = file or File()
        self.handlers: dict[str, Handler] = {}
        self.read = 0.0
        self.more: tuple[Family, ...] = ()
        self.times: list[int] = []
        self.recorder = Recorder(
            node=name,
            run=f"{name}-{id(self)}",
            read=self.families,
            fellows=Fellows(
                ticks=self,
                calls=self,
                members=lambda: list(net.nodes),
                living=lambda: [one for one in net.nodes if one not in net.cut],
            ),
            file=self.file,
            clock=net.clock,
            journal=self.journal,
        )
        self.recorder.on_tick(self.times.append)
        net.nodes[name] = self

    def families(self) -> Iterable[Family]:
        self.read += 1
        return (
            Counter("nexa_read_total", "Reads.", (Sample(self.read),)),
            Gauge("nexa_still", "Never moves.", (Sample(5, {"kind": "a"}),)),
            *self.more,
        )

    # the ports

    async def send(self, tick: Tick) -> None:
        if self.name in self.net.cut:
            raise Unavailable("no connection")
        self.net.tell(tick)

    def arrivals(self) -> AsyncIterator[Tick]:
        raise NotImplementedError

    async def ask(
        self, node: str, what: str, payload: bytes, *, timeout_s: float
    ) -> bytes:
        there = self.net.nodes.get(node)
        if there is None or node in self.net.cut:
            raise Unavailable(f"{node} does not answer")
        return await there.handlers[what](payload)

    def serve(self, node: str, what: str, handler: Handler) -> None:
        assert node == self.name
        self.handlers[what] = handler
