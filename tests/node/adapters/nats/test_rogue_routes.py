"""Threat T1: whatever certificate a rogue nats-server holds, it is sent nothing."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest
from nats.aio.client import Client

from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.adapters.nats.config import Layout, Member, new_key, render
from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.core.policies import StorePolicy
from tests.joining import wall
from tests.nats_of_theirs import free_port

PASSWORD = "route-canary-4f1c"


@dataclass
class Running:
    """A nats-server that runs, and what reached a client of its."""

    folder: Path
    client: Client
    seen: list[str]

    @property
    def log(self) -> str:
        return (self.folder / "nats" / "server.log").read_text()


def trust(path: Path, name: str, like: TlsFolder | None = None) -> TlsFolder:
    """A node's folder, with the authorities of `like`."""
    made = TlsFolder(path / name / "tls")
    made.path.mkdir(mode=0o700, parents=True)
    for each in () if like is None else like.path.glob("*-ca*"):
        (made.path / each.name).write_bytes(each.read_bytes())
        (made.path / each.name).chmod(0o600)
    made.establish(Bearer("nexa", name, ("127.0.0.1",)), now=wall())
    return made


def pin(folder: TlsFolder) -> str:
    facts = folder.facts()
    assert facts is not None
    return facts.key_pin


def member(name: str, folder: TlsFolder, *, routes: tuple[str, ...] = ()) -> Member:
    return Member(
        name=name, cluster="nexa", cluster_id="c1", route=f"127.0.0.1:{free_port()}",
        password=PASSWORD, routes=routes, tls=folder.path,
    )  # fmt: skip


@asynccontextmanager
async def running(
    member: Member, folder: Path, *, password: str = PASSWORD
) -> AsyncIterator[Running]:
    """Run it as nexa would, but for a rogue's own `password`."""
    layout = Layout(folder, member.store)
    layout.ports.mkdir(parents=True)
    key, port = new_key(folder / "app.seed"), free_port()
    text = render(
        layout, name=member.name, port=port, max_bytes=2**26, app=key,
        system=new_key(folder / "sys.seed"), member=member,
    )  # fmt: skip
    layout.conf.write_text(text.replace(PASSWORD, quote(password)))
    binary = await trusted_binary(StorePolicy())
    process = subprocess.Popen([binary.path, "-c", layout.conf])
    client, seen = Client(), []
    try:
        await until(lambda: listens(port))
        await client.connect(f"nats://127.0.0.1:{port}", nkeys_seed_str=key.seed)

        async def take(message) -> None:
            seen.append(message.data.decode())

        await client.subscribe(">", cb=take)
        await client.flush()
        yield Running(folder, client, seen)
    finally:
        if client.is_connected:
            await client.close()
        process.terminate()
        await asyncio.to_thread(process.wait)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def agents_certificate(path: Path, a: TlsFolder) -> TlsFolder:
    """A folder whose "node" shows what was signed for an agent."""
    clients, rogue = a.authority("clients"), trust(path, "agent", a)
    assert clients is not None
    key = certificates.new_key()
    signed = authority.sign_client(
        clients, key.public_key(), identity="agent:x", now=wall()
    )
    chain = certificates.to_pem(signed, clients.certificate)
    rogue.node_certificate.write_bytes(chain)
    rogue.node_key.write_bytes(certificates.key_to_pem(key))
    return rogue


ROGUES = {
    "an agent's certificate": "didn't provide a certificate",
    "a node's certificate that is not pinned": "certificate not pinned",
    "a member's certificate, without the password": "authentication error",
}


@pytest.mark.timeout(60)
async def test_a_rogue_server_is_sent_nothing_whatever_it_holds(tmp_path: Path) -> None:
    a = trust(tmp_path, "a")
    b = trust(tmp_path, "b", a)
    rogues = {
        "an agent's certificate": agents_certificate(tmp_path, a),
        "a node's certificate that is not pinned": trust(tmp_path, "struck-off", a),
        "a member's certificate, without the password": b,
    }
    pins = tuple(sorted((pin(a), pin(b))))
    one, two = member("a", a), member("b", b)
    one = replace(one, routes=(two.route,), pins=pins)
    two = replace(two, routes=(one.route,), pins=pins)

    async with AsyncExitStack() as stack:
        alpha = await stack.enter_async_context(running(one, tmp_path / "a"))
        beta = await stack.enter_async_context(running(two, tmp_path / "b"))
        bad: dict[str, Running] = {}
        for number, (what, folder) in enumerate(rogues.items()):
            made = member(f"rogue-{number}", folder, routes=(one.route, two.route))
            password = "guessed" if "without" in what else PASSWORD
            bad[what] = await stack.enter_async_context(
                running(made, tmp_path / f"rogue-{number}", password=password)
            )
        for what, told in ROGUES.items():
            await until(lambda told=told: told in alpha.log and told in beta.log)
            assert bad[what].seen == []

        async def arrives() -> None:
            while "secret" not in beta.seen:
                await alpha.client.publish("nexa.agent.alice.secret", b"secret")
                await asyncio.sleep(0.05)

        await asyncio.wait_for(arrives(), 20)
        for each in bad.values():
            await each.client.flush()
        assert {what: each.seen for what, each in bad.items()} == {
            what: [] for what in bad
        }
