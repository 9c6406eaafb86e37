"""The demo's nodes: started one after the other, joined, killed and brought back.

They join as anybody's would, by a token of `join-token`, over `nexa node start`'s own
code; nothing here knows how a cluster is made.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from nexa_node.contract.cluster import JoinToken, NewJoinToken
from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.contract.nodes import Cluster
from nexa_tui.client.discovery import Target
from nexa_tui.client.launch import Say, exists, start_node, stop_node
from nexa_tui.client.rest import NoNode, Rest
from nexa_tui.commands.node_join import JOIN_TIMEOUT_S

T = TypeVar("T")
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota")
ALONE = "demo"
"""The name of a demo's only node."""
PATIENCE_S = 20.0
"""A call may wait for an election or two, and not for ever."""
_BEAT_S = 0.2
_STOP_S = 15.0
_IN_STEP_S = 60.0


class Nodes:
    """What was started; each call goes to whichever node answers."""

    def __init__(self, environ: Mapping[str, str], number: int) -> None:
        """Prepare so many; nothing is started yet."""
        self.environ = environ
        self.names = (ALONE,) if number == 1 else NAMES[:number]
        self.targets: dict[str, Target] = {}
        """By name, where each was last; a killed one keeps its place."""
        self.down: set[str] = set()

    @property
    def first(self) -> str:
        """The node that the console looks at."""
        return self.names[0]

    def start(self, say: Say) -> None:
        """Start the first, have the others join, and wait until all is in step.

        Raises:
            NexaError: One could not start or could not join: its own words.
        """
        for name in self.names:
            flags = ["--name", name, "--port", "0", "--set", "node.cluster=demo"]
            if name == self.first:
                self.targets[name] = start_node(self.environ, flags=tuple(flags))
                continue
            say(f"{name} joins")
            token = self.call(
                lambda node: node.post(
                    "/v1/cluster/join-tokens", JoinToken, body=NewJoinToken()
                )
            ).token
            self._keep(
                name,
                start_node(
                    self.environ,
                    flags=(*flags, "--join-file", "-"),
                    timeout_s=JOIN_TIMEOUT_S,
                    stdin=token.encode(),
                ),
            )
            self.wait_in_step(say)

    def wait_in_step(self, say: Say) -> Cluster:
        """Wait until every node that is up votes and no copy is behind.

        Raises:
            Unavailable: It takes too long; says what is missing.
        """
        end = time.monotonic() + _IN_STEP_S
        wanted = len(self.targets) - len(self.down)
        told = ""
        while True:
            cluster = self.call(lambda node: node.get("/v1/cluster", Cluster))
            missing = _missing(cluster, wanted)
            if not missing:
                return cluster
            if missing != told:
                told = missing
                say(missing)
            if time.monotonic() > end:
                raise Unavailable(
                    f"the demo's cluster is not in step: {missing}",
                    remedy="nexa logs; or nexa demo --nodes 1",
                )
            time.sleep(_BEAT_S)

    def call(self, ask: Callable[[Rest], T], *, patience_s: float = PATIENCE_S) -> T:
        """Ask the nodes in turn until one answers.

        Args:
            ask: May be called again, so what it sends must bear its own identity.
            patience_s: How long nodes that are away or without a leader are borne.

        Raises:
            NexaError: What a node says is wrong, or nobody answered in time.
        """
        end = time.monotonic() + patience_s
        turn = 0
        while True:
            name = self._up()[turn % len(self._up())]
            try:
                with Rest(self.targets[name]) as node:
                    return ask(node)
            except (NoNode, Unavailable):
                if time.monotonic() > end:
                    raise
                turn += 1
                time.sleep(_BEAT_S)

    def urls(self, begin: int) -> str:
        """The nodes an agent may connect to, each agent another first."""
        found = [self.targets[name].url for name in self.names if name in self.targets]
        at = begin % len(found)
        return " ".join((*found[at:], *found[:at]))

    def token(self) -> str | None:
        """The first node's: one cluster has one set of tokens."""
        return self.targets[self.first].token

    def kill(self, name: str) -> None:
        """SIGKILL: no last word, no flush; its store's process ends with it."""
        pid = self.targets[name].pid
        self.down.add(name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            while exists(pid):
                time.sleep(_BEAT_S / 4)

    def heal(self, name: str) -> None:
        """Start a killed node again, where it was.

        Raises:
            NexaError: It does not come back: its own words.
        """
        port = self.targets[name].url.rpartition(":")[2]
        flags = ("--name", name, "--port", port, "--set", "node.cluster=demo")
        self._keep(
            name, start_node(self.environ, flags=flags, timeout_s=JOIN_TIMEOUT_S)
        )
        self.down.discard(name)

    def stop(self) -> list[str]:
        """End them all, the first last; says which did not end."""
        left: list[str] = []
        for name in reversed(self.targets):
            if name in self.down:
                continue
            try:
                stop_node(self.targets[name], environ=self.environ, timeout_s=_STOP_S)
            except NexaError as error:
                left.append(error.message)
        return left

    def _keep(self, name: str, target: Target) -> None:
        """Remember where a node is; one without a token of its own has the first's."""
        self.targets[name] = Target(
            url=target.url,
            token=self.token(),
            name=name,
            source=target.source,
            pid=target.pid,
            trust=target.trust,
        )

    def _up(self) -> list[str]:
        return [name for name in self.targets if name not in self.down]


def _missing(cluster: Cluster, wanted: int) -> str:
    """What is not yet as it will be; empty when all is."""
    running = [node for node in cluster.nodes if node.state == "running"]
    if len(running) < wanted:
        return f"{len(running)} of {wanted} nodes are running"
    if cluster.quorum.have < wanted:
        return f"{cluster.quorum.have} of {wanted} nodes vote"
    headless = sum(stream.leader is None for stream in cluster.streams)
    if headless:
        return f"{headless} streams have no leader"
    away = {node.name for node in cluster.nodes} - {node.name for node in running}
    late = sum(
        not copy.current and copy.node not in away
        for stream in cluster.streams
        for copy in stream.replicas
    )
    short = wanted >= 3 and any(len(one.replicas) < 3 for one in cluster.streams)
    if short:
        return "not everything has three copies yet"
    return f"{late} copies are behind" if late else ""
