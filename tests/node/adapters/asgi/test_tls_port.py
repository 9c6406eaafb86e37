"""The port over TLS: who is let in, what is refused, and a certificate that changes.

T9 (half-open TLS), T17 (downgrade, an expired or a rotated certificate) of the threats.
"""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from nexa_node.adapters.asgi.binding import holder_of
from nexa_node.adapters.asgi.limits import PATIENCE_S, PortConfig, TlsDoor
from nexa_node.adapters.asgi.tls_protocol import TlsHttp
from nexa_node.adapters.asgi.websocket_protocol import PacedWebSocket
from nexa_node.adapters.tls import authority
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.adapters.tls.port import PortTls
from nexa_node.contract.errors import Invalid, Problem
from nexa_node.contract.version import JSON_SUBPROTOCOL
from nexa_node.core.policies import HttpPolicy, SessionPolicy
from tests.certificates import (
    BEARER,
    client,
    folder_at,
    port_of,
    write_node_pair,
    write_pair,
)
from tests.joining import wall
from tests.node.adapters.asgi.fake_node import (
    ADMIN,
    FakeNode,
    dialled,
    opened,
    raw,
    snapshot,
    until,
)

IMPATIENT = HttpPolicy(header_timeout_ms=150, shutdown_timeout_ms=300)
JSON = [Subprotocol(JSON_SUBPROTOCOL)]
OLD = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> TlsFolder:
    return folder_at(tmp_path_factory.mktemp("port") / "tls")


@pytest.fixture
def tls(folder: TlsFolder) -> PortTls:
    return port_of(folder)


def clients(folder: TlsFolder) -> authority.Authority:
    found = folder.authority("clients")
    assert found is not None
    return found


async def test_everything_is_answered_over_tls_1_3(tls: PortTls) -> None:
    async with opened(tls=tls) as port:
        answer = await port.http.get("/v1/node")
        stream = answer.extensions["network_stream"]
        session = stream.get_extra_info("ssl_object")

    assert (answer.status_code, port.url.partition(":")[0]) == (200, "https")
    assert session.version() == "TLSv1.3"


async def test_an_agent_and_a_console_are_served_over_tls(tls: PortTls) -> None:
    node = FakeNode()
    node.frames.put_nowait(snapshot())
    async with opened(node, tls=tls) as port:
        url = port.url.replace("http", "ws", 1)
        head = {"Authorization": f"Bearer {ADMIN}"}
        context = tls.check_context()
        async with connect(
            f"{url}/v1/console", additional_headers=head, ssl=context, proxy=None
        ) as console:
            assert b"snapshot" in (await console.recv(decode=False))
        async with connect(
            f"{url}/v1/agent",
            subprotocols=JSON,
            additional_headers=head,
            ssl=context,
            proxy=None,
        ) as agent:
            connection = await node.connections.get()
            await agent.send("{}")
            assert await agent.recv() == "{}"
            assert connection.received == [b"{}"]


async def test_a_frame_that_is_too_large_is_told_so_over_tls(tls: PortTls) -> None:
    async with (
        opened(tls=tls, sessions=SessionPolicy(frame_bytes=1024)) as port,
        connect(
            f"{port.url.replace('http', 'ws', 1)}/v1/agent",
            subprotocols=JSON,
            additional_headers={"Authorization": f"Bearer {ADMIN}"},
            ssl=tls.check_context(),
            proxy=None,
            close_timeout=5,
        ) as agent,
    ):
        await agent.send("x" * 2048)
        with pytest.raises(ConnectionClosed) as over:
            await agent.recv()

    assert over.value.rcvd is not None
    assert over.value.rcvd.code == 1009


@pytest.mark.parametrize("old", OLD, ids=lambda one: one.name)
async def test_t17_older_versions_are_refused_with_an_alert(
    tls: PortTls, old: ssl.TLSVersion
) -> None:
    context = tls.check_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with opened(tls=tls) as port:
        with warnings.catch_warnings():  # old ones are deprecated, that is the point
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = old
        with pytest.raises(ssl.SSLError) as refused:
            async with secure(port.number, context):
                pass

    assert "ALERT" in str(refused.value.reason) or "NO_PROTOCOLS" in str(
        refused.value.reason
    )


async def test_1_2_is_spoken_where_it_is_asked_for(folder: TlsFolder) -> None:
    tls = port_of(folder, minimum="1.2")
    context = tls.check_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with opened(tls=tls) as port, secure(port.number, context) as session:
        name, version, bits = session.cipher() or ("", "", 0)

    assert (version, name[:5], bits >= 128) == ("TLSv1.2", "ECDHE", True)


async def test_plain_http_is_told_to_speak_tls_and_knows_who_we_are(
    tls: PortTls,
) -> None:
    async with opened(tls=tls) as port:
        answer = await raw(
            port.number, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        holder = await asyncio.to_thread(holder_of, "127.0.0.1", port.number)

    head, _, body = answer.partition(b"\r\n\r\n")
    told = msgspec.json.decode(body, type=Problem)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert (told.title, "https://" in (told.remedy or "")) == ("tls_required", True)
    assert holder.nexa


# -- certificates of clients ---------------------------------------------------------


async def test_a_certificate_of_the_cluster_says_who_calls(
    folder: TlsFolder, tls: PortTls, tmp_path: Path
) -> None:
    shown = write_pair(tmp_path / "one", clients(folder))
    node = FakeNode(certified={shown[2]})
    context = client(tls.files.trusted, shown)
    async with (
        opened(node, tls=tls) as port,
        httpx.AsyncClient(base_url=port.url, verify=context, trust_env=False) as http,
    ):
        told = await http.get("/v1/node")
        async with connect(
            f"{port.url.replace('http', 'ws', 1)}/v1/agent",
            subprotocols=JSON,
            ssl=context,
            proxy=None,
        ):
            connection = await node.connections.get()
        node.certified.clear()
        revoked = await http.get("/v1/node")
        open_still = await http.get("/healthz")
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"{port.url.replace('http', 'ws', 1)}/v1/agent",
                subprotocols=JSON,
                ssl=context,
                proxy=None,
            )

    assert told.status_code == 200
    assert connection.identity is not None
    assert connection.identity.id == "token:certified"
    assert (revoked.status_code, open_still.status_code) == (401, 200)
    assert refused.value.response.status_code == 401


async def test_a_token_that_is_given_speaks_for_itself(
    folder: TlsFolder, tls: PortTls, tmp_path: Path
) -> None:
    shown = write_pair(tmp_path / "one", clients(folder))
    async with (
        opened(FakeNode(certified={shown[2]}), tls=tls) as port,
        httpx.AsyncClient(
            base_url=port.url, verify=client(tls.files.trusted, shown), trust_env=False
        ) as http,
    ):
        wrong = await http.get("/v1/node", headers={"Authorization": "Bearer no"})

    assert wrong.status_code == 401


async def test_t17_certificates_that_prove_nothing_are_refused_in_the_handshake(
    folder: TlsFolder, tls: PortTls, tmp_path: Path
) -> None:
    stranger = authority.make("clients", cluster="nexa", now=wall())
    nodes = folder.authority("nodes")
    assert nodes is not None
    pairs = {
        "another cluster's": write_pair(tmp_path / "a", stranger),
        "a node's": write_node_pair(tmp_path / "b", nodes),
        "expired": write_pair(
            tmp_path / "c",
            clients(folder),
            now=wall() - timedelta(minutes=30),
            length=timedelta(minutes=1),
        ),
    }
    told: dict[str, str] = {}
    known = {sha256 for _, _, sha256 in pairs.values()}
    async with opened(FakeNode(certified=known), tls=tls) as port:
        for name, shown in pairs.items():
            async with httpx.AsyncClient(
                base_url=port.url,
                verify=client(tls.files.trusted, shown),
                trust_env=False,
            ) as http:
                # In TLS 1.3 who is refused learns it with the first answer.
                with pytest.raises((httpx.TransportError, ssl.SSLError)) as refused:
                    await http.get("/v1/node")
                told[name] = str(refused.value)

    assert "unknown ca" in told["another cluster's"].lower()
    assert "unknown ca" in told["a node's"].lower()
    assert "expired" in told["expired"].lower()


# -- what it costs to stand outside ------------------------------------------------


async def test_t9_a_handshake_that_does_not_come_to_its_end_is_over_in_time(
    tls: PortTls,
) -> None:
    hello = _client_hello(tls)
    async with opened(policy=IMPATIENT, tls=tls) as port:
        answers = await asyncio.wait_for(
            asyncio.gather(*(raw(port.number, hello[:n]) for n in (0, 1, 5, 60))), 10
        )
        whole = await asyncio.wait_for(raw(port.number, hello), 10)
        alive = await port.http.get("/healthz")

    assert answers == [b""] * 4
    assert whole[:1] == b"\x16"  # the server's half, and then nothing for ever
    assert alive.status_code == 200


async def test_t9_half_open_handshakes_take_no_memory_and_no_place(
    tls: PortTls,
) -> None:
    policy = HttpPolicy(waiting_sockets=64, shutdown_timeout_ms=300)
    hello, before = _client_hello(tls), psutil.Process().memory_info().rss
    async with opened(policy=policy, tls=tls) as port:
        with contextlib.ExitStack() as stack:
            for _ in range(256):
                one = socket.create_connection(("127.0.0.1", port.number))
                stack.enter_context(one).sendall(hello)
            alive = await port.http.get("/healthz")
            grown = psutil.Process().memory_info().rss - before

    assert alive.status_code == 200
    assert grown <= 20 * 1024 * 1024


async def test_t9_the_oldest_handshake_makes_room_for_a_newer_one(tls: PortTls) -> None:
    policy = HttpPolicy(waiting_sockets=1, shutdown_timeout_ms=300)
    async with (
        opened(policy=policy, tls=tls) as port,
        dialled(port.number) as (reader, _),
    ):
        gone = asyncio.ensure_future(reader.read())
        await asyncio.sleep(PATIENCE_S)  # by the rule it is left alone so long
        async with dialled(port.number):
            await asyncio.wait({gone})

    assert gone.exception() is not None or gone.result() == b""


async def test_t9_one_address_has_a_few_handshakes_at_once(tls: PortTls) -> None:
    policy = HttpPolicy(waiting_sockets_per_address=1, shutdown_timeout_ms=300)
    async with (
        opened(policy=policy, tls=tls) as port,
        dialled(port.number) as (reader, _),
    ):
        gone = asyncio.ensure_future(reader.read())
        await asyncio.sleep(PATIENCE_S)  # by the rule it is left alone so long
        async with dialled(port.number):
            await asyncio.wait({gone})

    assert gone.exception() is not None or gone.result() == b""


async def test_it_is_counted_how_handshakes_end(tls: PortTls) -> None:
    door = TlsDoor(tls.context)
    config = PortConfig(
        _no_app,
        http=TlsHttp,  # type: ignore[arg-type]  # any protocol will do
        ws=PacedWebSocket,
        policy=IMPATIENT,
        sessions=SessionPolicy(),
        door=door,
    )
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: TlsHttp(config, ServerState(), {}), "127.0.0.1", 0
    )
    number = server.sockets[0].getsockname()[1]
    async with server:
        await raw(number, b"GET / HTTP/1.1\r\n\r\n")
        await raw(number, b"\x16\x03\x01\x00\x05hello")
        await raw(number, b"")
        async with secure(number, tls.check_context()):
            pass
        await until(lambda: sum(door.handshakes.values()) == 4)

    assert door.handshakes == {"plain": 1, "refused": 1, "timeout": 1, "done": 1}


# -- another certificate -------------------------------------------------------------


async def test_t17_a_rotation_under_load_loses_no_message(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "tls")
    tls, node = port_of(folder), FakeNode()
    sent, lives = 200, [tls.shown.life]
    async with opened(node, tls=tls) as port:
        async with connect(
            f"{port.url.replace('http', 'ws', 1)}/v1/agent",
            subprotocols=JSON,
            additional_headers={"Authorization": f"Bearer {ADMIN}"},
            ssl=tls.check_context(),
            proxy=None,
        ) as agent:
            connection = await node.connections.get()
            for number in range(sent):
                await agent.send(str(number))
                if number % 50 == 25:
                    _renew(folder)
                    assert tls.look()
                    lives.append(tls.shown.life)
            answered = [int(await agent.recv()) for _ in range(sent)]
        presented = await _certificate_at(port.number)

    assert answered == list(range(sent))
    assert [int(one) for one in connection.received] == answered
    assert len(set(lives)) == len(lives) == 5
    assert presented == folder.node_certificate.read_bytes()


async def test_what_can_not_be_used_is_told_and_the_one_before_is_shown(
    tmp_path: Path,
) -> None:
    folder = folder_at(tmp_path / "tls")
    tls = port_of(folder)
    good = folder.node_certificate.read_bytes()
    folder.node_certificate.write_bytes(b"half of")
    with pytest.raises(Invalid, match="holds no certificate"):
        tls.look()
    assert not tls.look(), "told once"
    async with opened(tls=tls) as port:
        answer = await port.http.get("/healthz")
        presented = await _certificate_at(port.number)

    assert (answer.status_code, presented) == (200, good)


def test_openssl_itself_agrees(folder: TlsFolder) -> None:
    """The chain is a good one for a server, and its authority is none of clients."""
    trusted = folder.trusted("nodes"), folder.trusted("clients")
    said = [
        subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"),
                *(authorities, folder.node_certificate),
            ],
            capture_output=True,
            check=False,
        ).returncode
        for purpose, authorities in zip(
            ("sslserver", "sslclient"), trusted, strict=True
        )
    ]

    assert said[0] == 0
    assert said[1] != 0


def _renew(folder: TlsFolder) -> None:
    """As at two thirds of its life, each time a little later."""
    found = folder.facts()
    assert found is not None
    later = found.life.begins + (found.life.ends - found.life.begins) * 0.7
    assert folder.establish(BEARER, now=later)


@asynccontextmanager
async def secure(number: int, context: ssl.SSLContext) -> AsyncGenerator[ssl.SSLObject]:
    """A connection whose handshake is done; it is cut at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", number, ssl=context)
    try:
        yield writer.get_extra_info("ssl_object")
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        del reader


async def _certificate_at(number: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with secure(number, context) as session:
        der = session.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der).encode()


def _client_hello(tls: PortTls) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = tls.check_context()
    session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


async def _no_app(scope: object, receive: object, send: object) -> None:
    raise AssertionError
