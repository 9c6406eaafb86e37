"""Three nodes over TLS: joined, renewed under load, revoked everywhere, given new keys."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.certificates import client
from tests.system.calling import Callers
from tests.system.conftest import end, until
from tests.system.test_revocation import EFFECTIVE_S, hello
from tests.system.town import Town

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

NAMES = ("alpha", "beta", "gamma")
ON = ("--set", "tls.mode=on")
LIFE_S = 18
SHORT = (*ON, "--set", f"cluster.certificate_hours={LIFE_S / 3600}")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def tls(town: Town, name: str) -> Path:
    return town[name].home / f"state/node/{name}/tls"


def number(town: Town, name: str) -> int:
    return int(town.target(name).url.rpartition(":")[2])


def shown(town: Town, name: str) -> str:
    """The certificate a node's port shows now."""
    return ssl.get_server_certificate(("127.0.0.1", number(town, name)))


def settled(town: Town, nodes: int) -> bool:
    return (
        len(town.nodes("alpha")) == nodes
        and town["alpha"]("cluster", "status").code == 0
        and town["alpha"]("token", "create", "--role", "viewer").code == 0
    )


def dialled(
    stack: ExitStack, town: Town, node: str, path: str, context: ssl.SSLContext
) -> ClientConnection:
    url = town.target(node).url.replace("http", "ws", 1)
    connection = connect(
        f"{url}{path}",
        subprotocols=["nexa.v1.json"] if path == "/v1/agent" else None,  # type: ignore[list-item]  # a NewType of str
        compression=None,
        ssl=context,
        proxy=None,
    )
    return stack.enter_context(connection)


def closed(socket: ClientConnection, deadline: float) -> int | None:
    """The code it is closed with, if it is in time."""
    try:
        while True:
            socket.recv(timeout=max(0.0, deadline - time.monotonic()))
    except ConnectionClosed as over:
        return None if over.rcvd is None else over.rcvd.code


def test_t8_a_revoked_certificate_closes_what_it_opened_on_every_node(
    town: Town, tmp_path: Path
) -> None:
    town.found("alpha", *ON)
    for name in NAMES[1:]:
        town.join(name, "alpha", words=ON)
    until(lambda: settled(town, 3), "three nodes that store together", 60)
    out = tmp_path / "one"
    made = town["alpha"](
        "cert", "issue", "--role", "admin", "--out", str(out), "--json"
    ).json()
    context = client(
        Path(f"{out}.ca.pem"), (Path(f"{out}.pem"), Path(f"{out}.key"), "")
    )
    with ExitStack() as stack:
        sockets: list[ClientConnection] = []
        for name in NAMES:
            agent = dialled(stack, town, name, "/v1/agent", context)
            hello(agent, f"at-{name}")
            console = dialled(stack, town, name, "/v1/console", context)
            assert "snapshot" in str(console.recv(timeout=10))
            sockets += [agent, console]
        assert town["beta"]("cert", "revoke", made["id"]).code == 0
        deadline = time.monotonic() + EFFECTIVE_S
        assert [closed(each, deadline) for each in sockets] == [4505] * 6


def test_t17_certificates_are_renewed_under_load_and_nobody_notices(
    town: Town,
) -> None:
    alpha = town.found("alpha", *SHORT)
    town.join("beta", "alpha", words=SHORT)
    agent = alpha.agent("worker", "job", "echo", "1", options=("--slots", "4"))
    urls = [town.target(name).url for name in NAMES[:2]]
    token = town.target("alpha").token
    assert token is not None
    context = client(tls(town, "alpha") / "node-ca.pem")
    seen = {name: {shown(town, name)} for name in NAMES[:2]}
    try:
        until(lambda: town["beta"].connected("worker"), "it is there")
        with Callers(urls, token, context) as callers:

            def renewed_twice() -> bool:
                for name, known in seen.items():
                    known.add(shown(town, name))
                return all(len(known) >= 3 for known in seen.values())

            until(renewed_twice, "each shows its third", 4 * LIFE_S)
            called = callers.calls
            until(lambda: callers.calls > called + 40, "they call on")
    finally:
        end(agent)

    assert callers.failures == []
    assert callers.heard_in_order()
    assert sum(each.seen.moves for each in callers.talkers) == 0


def test_new_keys_reach_the_ports_and_what_is_connected_stays(
    town: Town, tmp_path: Path
) -> None:
    town.found("alpha", *ON)
    for name in NAMES[1:]:
        town.join(name, "alpha", words=ON)
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 60)
    out = tmp_path / "one"
    town["alpha"]("cert", "issue", "--role", "agent", "--out", str(out))
    pair = (Path(f"{out}.pem"), Path(f"{out}.key"), "")
    old = Path(f"{out}.ca.pem")
    with ExitStack() as stack:
        agent = dialled(stack, town, "beta", "/v1/agent", client(old, pair))
        hello(agent, "before")
        rotated = town["beta"]("cluster", "rotate", "--yes")
        assert rotated.code == 0, rotated.err
        for name in NAMES:
            new = client(tls(town, name) / "node-ca.pem", pair)
            until(lambda name=name: trusts(town, name, old) is False, "new keys", 20)
            # The client's own certificate is of the old authority, and still good.
            socket = dialled(stack, town, name, "/v1/agent", new)
            hello(socket, f"after-{name}")
        agent.send(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "session.bye"}))
        assert "result" in str(agent.recv(timeout=10))
    assert town["gamma"]("agents", "list").code == 0


def trusts(town: Town, name: str, authority: Path) -> bool:
    """Whether what a port shows is of that authority."""
    try:
        ssl.create_default_context(cafile=str(authority))
        context = client(authority)
        with connect(
            f"wss://127.0.0.1:{number(town, name)}/v1/console",
            ssl=context,
            proxy=None,
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False
    except Exception:  # noqa: BLE001  # whoever has no token is refused later
        return True
