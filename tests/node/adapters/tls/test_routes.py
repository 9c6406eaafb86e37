"""What nats-server makes of these certificates: members connect, nobody else does."""

import asyncio
import json
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.core.policies import StorePolicy
from tests.joining import wall


class Server:
    """A nats-server with routes by mutual TLS, and nothing else."""

    def __init__(self, path: Path, name: str, *, trusts: Path, shows: Path, key: Path):
        self.path = path / f"server-{name}"
        self.path.mkdir(parents=True)
        self.name = name
        self.trusts, self.shows, self.key = trusts, shows, key

    @asynccontextmanager
    async def running(self, *routes: str) -> AsyncIterator["Server"]:
        known = ", ".join(f'"nats://{route}"' for route in routes)
        (self.path / "conf").write_text(f"""
server_name: {self.name}
listen: "127.0.0.1:-1"
http: "127.0.0.1:-1"
ports_file_dir: "{self.path}"
log_file: "{self.path}/log"
cluster {{
  name: nexa
  listen: "127.0.0.1:-1"
  pool_size: -1
  routes: [{known}]
  tls {{
    cert_file: "{self.shows}"
    key_file: "{self.key}"
    ca_file: "{self.trusts}"
    verify: true
    timeout: 2
  }}
}}
""")
        binary = await trusted_binary(StorePolicy())
        process = subprocess.Popen([binary.path, "-c", self.path / "conf"])
        try:
            await until(self._ports)
            yield self
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)

    def _ports(self) -> dict[str, list[str]]:
        found = list(self.path.glob("*.ports"))
        return json.loads(found[0].read_text() or "{}") if found else {}

    @property
    def route(self) -> str:
        return self._ports()["cluster"][0].rpartition("/")[2]

    def routed(self) -> list[str]:
        url = self._ports()["monitoring"][0]
        with urllib.request.urlopen(f"{url}/routez", timeout=5) as answer:
            return [each["remote_name"] for each in json.load(answer)["routes"]]

    @property
    def log(self) -> str:
        return (self.path / "log").read_text()


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def member(path: Path, name: str, trust: TlsFolder | None = None) -> TlsFolder:
    """A member's folder; of the same cluster as `trust`."""
    made = TlsFolder(path / name / "tls")
    made.path.mkdir(mode=0o700, parents=True)
    for each in () if trust is None else trust.path.glob("*-ca*"):
        copy = made.path / each.name
        copy.write_bytes(each.read_bytes())
        copy.chmod(0o600)
    made.establish(Bearer("nexa", name, ("127.0.0.1",)), now=wall())
    return made


def server(path: Path, name: str, folder: TlsFolder) -> Server:
    return Server(
        path, name, trusts=folder.trusted("nodes"), shows=folder.node_certificate,
        key=folder.node_key,
    )  # fmt: skip


def insist(route: str, rogue: Server) -> bytes:
    """Show the rogue's certificate whether the server asks for such a one or not.

    nats-server itself shows none that it knows won't be taken. With TLS 1.3 the refusal
    comes with the first read.
    """
    host, _, port = route.rpartition(":")
    context = ssl.create_default_context(cafile=rogue.trusts)
    context.load_cert_chain(rogue.shows, rogue.key)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.recv(1)


async def test_members_connect_and_a_clients_certificate_opens_no_route(
    tmp_path: Path,
) -> None:
    a = member(tmp_path, "a")
    b = member(tmp_path, "b", a)
    clients = a.authority("clients")
    assert clients is not None
    key = certificates.new_key()
    stolen = authority.sign_client(
        clients, key.public_key(), identity="agent:x", now=wall()
    )
    (tmp_path / "x.pem").write_bytes(certificates.to_pem(stolen, clients.certificate))
    (tmp_path / "x.key").write_bytes(certificates.key_to_pem(key))
    rogue = Server(
        tmp_path, "rogue", trusts=a.trusted("nodes"), shows=tmp_path / "x.pem",
        key=tmp_path / "x.key",
    )  # fmt: skip

    async with (
        server(tmp_path, "a", a).running() as one,
        server(tmp_path, "b", b).running(one.route) as two,
        rogue.running(one.route) as third,
    ):
        await until(lambda: two.routed() == ["a"])
        await until(lambda: "didn't provide a certificate" in one.log)
        with pytest.raises(ssl.SSLError, match="alert"):
            await asyncio.to_thread(insist, one.route, rogue)

        assert "signed by unknown authority" in one.log
        assert one.routed() == ["b"]
        assert third.routed() == []


async def test_a_node_of_another_cluster_opens_no_route(tmp_path: Path) -> None:
    a, foreign = member(tmp_path, "a"), member(tmp_path, "foreign")
    rogue = Server(
        tmp_path, "rogue", trusts=a.trusted("nodes"), shows=foreign.node_certificate,
        key=foreign.node_key,
    )  # fmt: skip

    async with (
        server(tmp_path, "a", a).running() as one,
        rogue.running(one.route) as other,
    ):
        await until(lambda: "TLS route handshake error" in one.log)
        with pytest.raises(ssl.SSLError, match="alert"):
            await asyncio.to_thread(insist, one.route, rogue)

        assert "signed by unknown authority" in one.log
        assert (one.routed(), other.routed()) == ([], [])


async def test_while_the_authority_is_changed_old_and_new_certificates_connect(
    tmp_path: Path,
) -> None:
    a = member(tmp_path, "a")
    b = member(tmp_path, "b", a)
    new = a.successor("nodes", cluster="nexa", now=wall())
    for each in (a, b):
        each.trust(new)
    assert a.promote("nodes", Bearer("nexa", "a", ("127.0.0.1",)), now=wall())
    assert a.issuer() != b.issuer()

    async with (
        server(tmp_path, "a", a).running() as one,
        server(tmp_path, "b", b).running(one.route) as two,
    ):
        await until(lambda: two.routed() == ["a"])
