"""The self-test's checks, put together for a node that runs, or for a trial of one."""

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from nexa_node.adapters.checks import certificate, machine, node
from nexa_node.adapters.files.config import Loaded
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.adapters.tls.port import PortTls
from nexa_node.contract.checks import CheckGroup
from nexa_node.contract.errors import NexaError
from nexa_node.core.encryption import is_encrypted
from nexa_node.core.policies import CheckSpec, StorePolicy
from nexa_node.ports import RoundTrip
from nexa_node.services.health.self_test import Check, Outcome
from nexa_node.wiring.attachment_checks import attachment_checks

_LONG_S = 20.0
"""For checks that wait for a trial node to start first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A running node, as its users reach it."""

    url: str
    token: str
    round_trip: Callable[[], Awaitable[RoundTrip]]
    port: PortTls | None = None
    """What the port shows; None of one that is plain."""


Ask = Callable[[], Awaitable[Asked]]
"""Answers with the node to look at; a trial one is started first, once."""


def all_checks(
    loaded: Loaded,
    *,
    state: Path,
    ask: Ask,
    trial: bool,
    port: int | None,
    broken: NexaError | None = None,
) -> list[Check]:
    """List every check there is.

    Args:
        loaded: The settings, and with them what is outside.
        state: The folder of all nodes' state.
        ask: The node to look at.
        trial: It is a trial one: nothing runs here yet.
        port: The port our own node listens on, if it runs.
        broken: What is wrong with the settings; `loaded` is then all defaults.
    """
    return [
        *_machine(loaded, state=state, port=port),
        _configuration(loaded, broken),
        *_node(loaded, ask=ask, trial=trial),
        *attachment_checks(loaded),
        *(_connectivity(spec, loaded.path) for spec in loaded.settings.checks),
        _cluster(),
    ]


def _machine(loaded: Loaded, *, state: Path, port: int | None) -> list[Check]:
    policy, listen = loaded.settings.selftest, loaded.settings.node
    config = loaded.path.parent

    def check(
        name: str,
        title: str,
        look: Callable[[], Awaitable[Outcome]],
        *,
        required: bool = False,
    ) -> Check:
        return Check(
            id=f"machine.{name}",
            group="machine",
            title=title,
            look=look,
            timeout_s=policy.timeout_ms / 1000,
            late_remedy="the machine is very busy: top; then nexa selftest",
            required=required,
        )

    return [
        check("python", "Python", machine.python, required=True),
        check("cores", "cores", machine.cores),
        check("memory", "memory", lambda: machine.memory(policy)),
        check("disk", "disk space", lambda: machine.disk(state, policy), required=True),
        check(
            "fsync", "disk fsync", lambda: machine.fsync(state, policy), required=True
        ),
        check("clock", "clock", machine.clock),
        check("locale", "locale", lambda: machine.locale_and_terminal(os.environ)),
        check(
            "port",
            "port",
            lambda: machine.port(listen.host, listen.port, ours=port),
        ),
        check("modes", "file modes", lambda: machine.file_modes((config, state))),
    ]


def _configuration(loaded: Loaded, broken: NexaError | None) -> Check:
    async def look() -> Outcome:
        if broken is not None:
            raise broken
        path = loaded.path if loaded.exists else "no file"
        origins = loaded.origins.values()
        in_file = sum(origin.startswith(str(loaded.path)) for origin in origins)
        in_variables = sum(origin.startswith("NEXA_") for origin in origins)
        flags = len(loaded.origins) - in_file - in_variables
        return Outcome(
            "pass",
            detail=f"{path}: {in_file} set there, {in_variables} by variables,"
            f" {flags} by flags, the rest default",
        )

    return Check(
        id="configuration.settings",
        group="configuration",
        title="settings",
        look=look,
        timeout_s=1.0,
        late_remedy="nexa config validate",
        required=True,
    )


def _node(loaded: Loaded, *, ask: Ask, trial: bool) -> list[Check]:
    # A trial node has a store of its own also where the real one is attached.
    attached = loaded.settings.store.mode == "attached"
    policy = StorePolicy() if attached else loaded.settings.store

    async def describe() -> tuple[str, str, str]:
        found = await trusted_binary(policy)
        return str(found.path), found.version, found.sha256

    async def starts() -> Outcome:
        asked = await ask()
        kind = "a trial node, in a throw-away folder" if trial else "running"
        return Outcome("pass", detail=f"{kind}, {asked.url}")

    async def stores() -> Outcome:
        round_trip = (await ask()).round_trip
        return await node.store(round_trip, attached=attached and not trial)

    async def answers() -> Outcome:
        asked = await ask()
        return await node.rest(asked.url, asked.token, _trusting(asked))

    async def takes_agents() -> Outcome:
        asked = await ask()
        return await node.agent_socket(asked.url, asked.token, _trusting(asked))

    async def shows() -> Outcome:
        port = (await ask()).port
        listen = loaded.settings.node.host
        if port is None and is_encrypted(loaded.settings.tls, listen):
            return Outcome("skipped", detail="shown as soon as the node runs")
        if port is None:
            return Outcome("skipped", detail=f"the port is plain, on {listen}")
        return certificate.look(
            port.shown.life,
            subject=port.shown.subject,
            names=port.shown.names,
            is_own=port.shown.is_own,
            now=SystemClock().now(),
            warn_days=loaded.settings.selftest.certificate_warn_days,
        )

    rows = (
        ("binary", "nats-server", lambda: node.binary(describe)),
        ("start", "starts", starts),
        ("store", "store round trip", stores),
        ("rest", "REST round trip", answers),
        ("agents", "agent WebSocket", takes_agents),
        ("certificate", "the port's certificate", shows),
    )
    return [
        Check(
            id=f"node.{name}",
            group="node",
            title=title,
            look=look,
            timeout_s=_LONG_S if trial else loaded.settings.selftest.timeout_ms / 1000,
            late_remedy="nexa logs; nexa node restart",
            required=True,
        )
        for name, title, look in rows
        if trial or not attached or name != "binary"
    ]


def _trusting(asked: Asked) -> ssl.SSLContext | None:
    return None if asked.port is None else asked.port.check_context()


def _connectivity(spec: CheckSpec, path: Path) -> Check:
    async def look() -> Outcome:
        # The drivers are imported only where there is such a check.
        from nexa_node.adapters.probes.connectivity import probe

        return await probe(spec, environ=os.environ, place=str(path))

    return Check(
        id=f"connectivity.{spec.name}",
        group="connectivity",
        title=f"{spec.name} ({spec.kind})",
        look=look,
        timeout_s=spec.timeout_ms / 1000,
        late_remedy=(
            f"see that {spec.target or spec.command[0]} answers; or raise timeout_ms of"
            f' [[check]] name = "{spec.name}" in {path}'
        ),
        required=spec.required,
    )


def _cluster() -> Check:
    async def look() -> Outcome:
        return Outcome(
            "skipped", detail="one node: complete, and without fault tolerance"
        )

    group: CheckGroup = "cluster"
    return Check(
        id="cluster.peers",
        group=group,
        title="peers",
        look=look,
        timeout_s=1.0,
        late_remedy="nexa cluster status",
    )
