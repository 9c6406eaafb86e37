"""A network between namespaces whose packets go through this process.

    python -m tests.system.chaos.wire TAG NODES SEED     (root; commands on stdin)

Each node has a network namespace with one TUN device; whoever started the run has one,
too. What comes out of a device is written to the one it is meant for, late, or never, as
the rules say. So there are partitions (of one direction, too), delay and loss where the
kernel has no netem and there is no packet filter. It ends, and everything of it is
removed, when its standard input is closed.
"""

import contextlib
import fcntl
import heapq
import itertools
import os
import random
import selectors
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU = 9000
_DEVICE = Path("/dev/net/tun")
HOST = -1
"""Whoever started the run: clients."""
_LIMIT = 20_000
"""Packets under way at most; more are lost, as they are in a switch."""


class Rule(msgspec.Struct, frozen=True):
    """What becomes of packets of one direction. The last rule that fits counts."""

    source: int
    """A node's number, or HOST."""
    target: int
    loss: float = 0.0
    """A part of all; 1 is a cut."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0


def why_not() -> str | None:
    """Say why there can be no such network here; None if there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if not _DEVICE.exists():
        return f"{_DEVICE} is missing"
    for program in ("ip", "nsenter"):
        if shutil.which(program) is None:
            return f"the program {program} is missing"
    name = f"nxprobe{os.getpid()}"
    words = ["ip", "netns", "add", name]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return "the kernel does not let us make a network namespace"
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None


class Names:
    """What things are called and where they are."""

    def __init__(self, tag: int) -> None:
        self.tag = tag

    def space(self, node: int) -> str:
        return f"nxc{self.tag}-{node}"

    def device(self, node: int) -> str:
        return f"nxc{self.tag}h" if node == HOST else f"nxc{self.tag}n{node}"

    def address(self, node: int) -> str:
        last = 254 if node == HOST else node + 1
        return f"10.{200 + self.tag // 250 % 50}.{self.tag % 250}.{last}"


class Wire:
    """The network as a run sees it: started, given rules, ended."""

    def __init__(self, nodes: int, seed: int) -> None:
        self.names = Names(os.getpid() % 12_500)
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.system.chaos.wire",
                str(self.names.tag), str(nodes), str(seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            start_new_session=True,
        )  # fmt: skip
        self._answer()

    def prefix(self, node: int) -> list[str]:
        """What a program is started by to be in a node's namespace."""
        return ["nsenter", f"--net=/run/netns/{self.names.space(node)}", "--"]

    def rule(self, rules: Sequence[Rule]) -> None:
        """From now on these rules hold, and no others."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(rules) + b"\n")
        self._process.stdin.flush()
        self._answer()

    def close(self) -> None:
        """Remove everything; whoever lives there must have ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _answer(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ok\n":
            raise AssertionError("the wire between the nodes ended")


class Switch:
    """Takes packets out of devices and puts them into others."""

    def __init__(self, names: Names, nodes: int, chance: random.Random) -> None:
        self._names = names
        self._chance = chance
        self._everybody = [HOST, *range(nodes)]
        self._devices: dict[int, int] = {}
        self._by_address: dict[bytes, int] = {}
        self._rules: dict[tuple[int, int], Rule] = {}
        self._late: list[tuple[float, int, int, bytes]] = []
        self._count = itertools.count()
        self.lost = self.carried = 0

    def make(self) -> None:
        """Make namespaces, devices and addresses."""
        for node in self._everybody:
            name, address = self._names.device(node), self._names.address(node)
            self._devices[node] = _open(name)
            self._by_address[bytes(map(int, address.split(".")))] = node
            within: list[str] = []
            if node != HOST:
                space = self._names.space(node)
                _ip("netns", "add", space)
                _ip("link", "set", "dev", name, "netns", space)
                within = ["-n", space]
                _ip(*within, "link", "set", "dev", "lo", "up")
            _ip(*within, "addr", "add", f"{address}/24", "dev", name)
            _ip(*within, "link", "set", "dev", name, "mtu", str(_MTU), "up")

    def remove(self) -> None:
        for device in self._devices.values():
            os.close(device)
        for node in self._everybody:
            if node != HOST:
                words = ["ip", "netns", "del", self._names.space(node)]
                subprocess.run(words, capture_output=True, check=False)

    def run(self) -> None:
        """Carry packets and obey, until standard input is closed."""
        chosen = selectors.DefaultSelector()
        for node, device in self._devices.items():
            chosen.register(device, selectors.EVENT_READ, node)
        chosen.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        while True:
            wait = None
            if self._late:
                wait = max(0.0, self._late[0][0] - time.monotonic())
            for key, _ in chosen.select(wait):
                if key.data is None:
                    line = sys.stdin.buffer.readline()
                    if not line:
                        return
                    rules = msgspec.json.decode(line, type=list[Rule])
                    self._rules = {(one.source, one.target): one for one in rules}
                    _say()
                else:
                    self._take(key.data)
            self._deliver(time.monotonic())

    def _take(self, source: int) -> None:
        for _ in range(64):
            try:
                packet = os.read(self._devices[source], 65_535)
            except BlockingIOError:
                return
            target = self._by_address.get(packet[16:20])
            if target is None or packet[0] >> 4 != 4:
                continue  # IPv6 neighbours and the like
            rule = self._rules.get((source, target))
            if rule is None:
                self._put(target, packet)
            elif rule.loss and self._chance.random() < rule.loss:
                self.lost += 1
            elif rule.delay_ms or rule.jitter_ms:
                late = rule.delay_ms + self._chance.uniform(0, rule.jitter_ms)
                if len(self._late) < _LIMIT:
                    at = time.monotonic() + late / 1000
                    heapq.heappush(self._late, (at, next(self._count), target, packet))
            else:
                self._put(target, packet)

    def _deliver(self, now: float) -> None:
        while self._late and self._late[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._late)
            self._put(target, packet)

    def _put(self, target: int, packet: bytes) -> None:
        self.carried += 1
        with contextlib.suppress(OSError):  # its queue is full: lost
            os.write(self._devices[target], packet)


def _open(name: str) -> int:
    device = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    asked = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(device, _TUNSETIFF, asked)
    return device


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _say() -> None:
    sys.stdout.write("ok\n")
    sys.stdout.flush()


def main(tag: int, nodes: int, seed: int) -> None:
    switch = Switch(Names(tag), nodes, random.Random(seed))
    try:
        switch.make()
        _say()
        switch.run()
    finally:
        switch.remove()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
