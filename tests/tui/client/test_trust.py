"""By what a node is known over TLS, and what is said when it is somebody else.

Each way to a node is tried against real servers: commands, the console and its feed, agents.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.adapters.tls.port import PortTls
from nexa_node.agent import Timing
from nexa_node.agent.credentials import tls_source
from nexa_node.agent.dialing import Trouble, dial
from nexa_node.contract.errors import Invalid, NexaError
from nexa_node.contract.tls_trouble import explain
from nexa_tui.client.api import Lost
from nexa_tui.client.clock import SystemClock
from nexa_tui.client.discovery import Target
from nexa_tui.client.feed import Feed
from nexa_tui.client.http import HttpNode
from nexa_tui.client.rest import NoNode, Rest
from nexa_tui.client.trust import SYSTEM, Trust, context_for, with_environment
from tests.certificates import (
    elsewhere_pair,
    folder_at,
    port_of,
    write_node_pair,
    write_pair,
)
from tests.node.adapters.asgi.fake_node import FakeNode, opened

Way = Callable[[str, Trust], Awaitable[str]]


async def by_command(url: str, trust: Trust) -> str:
    def ask() -> None:
        with Rest(Target(url, None, "n", "here", trust=trust)) as node:
            node.text("/healthz")

    with pytest.raises(NoNode) as refused:
        await asyncio.to_thread(ask)
    return f"{refused.value.message} ({refused.value.remedy})"


async def by_console(url: str, trust: Trust) -> str:
    target = Target(url, None, "n", "here", trust=trust)
    node = HttpNode(target, SystemClock(), random.Random(1), resolve=lambda: None)
    with pytest.raises(NexaError) as refused:
        await node.rules()
    await node.close()
    return f"{refused.value.message} ({refused.value.remedy})"


async def by_feed(url: str, trust: Trust) -> str:
    target = Target(url, None, "n", "here", trust=trust)
    feed = Feed(target, SystemClock(), random.Random(1), resolve=lambda: None)
    async for news in feed.watch():
        if isinstance(news, Lost):
            return f"{news.why} ({news.remedy})"
    raise AssertionError


async def by_agent(url: str, trust: Trust) -> str:
    tls = tls_source(
        None, {}, ca=trust.ca, certificate=trust.certificate, key=trust.key
    )
    with pytest.raises(Trouble) as refused:
        await dial(
            f"{url.replace('http', 'ws', 1)}/v1/agent",
            token=lambda: None,
            prefer="nexa.v1.json",
            timing=Timing(open_timeout=5.0),
            tls=tls,
        )
    return str(refused.value)


WAYS: list[Way] = [by_command, by_console, by_feed, by_agent]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> TlsFolder:
    return folder_at(tmp_path_factory.mktemp("here") / "tls", now=datetime.now(UTC))


@asynccontextmanager
async def served(context: ssl.SSLContext | None) -> AsyncGenerator[str]:
    """Somebody who accepts whatever comes, and says nothing."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(64)
            writer.close()
            await writer.wait_closed()
        except OSError:
            pass

    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context)
    async with server:
        scheme = "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def serving(pem: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context


@pytest.mark.parametrize("way", WAYS)
async def test_an_authority_that_is_not_trusted(
    here: TlsFolder, tmp_path: Path, way: Way
) -> None:
    other = folder_at(tmp_path / "other", now=datetime.now(UTC))
    async with served(serving(here.node_certificate, here.node_key)) as url:
        told = await way(url, Trust(ca=str(other.trusted("nodes"))))

    assert f"{url}" in told.replace("wss", "https")
    assert "of an authority that is not trusted here" in told
    assert "--ca ca.pem" in told


@pytest.mark.parametrize("way", WAYS)
async def test_without_a_file_the_systems_authorities_decide(
    here: TlsFolder, way: Way
) -> None:
    async with served(serving(here.node_certificate, here.node_key)) as url:
        assert "not trusted here" in await way(url, SYSTEM)


@pytest.mark.parametrize("way", WAYS)
async def test_t17_a_certificate_that_is_over(
    here: TlsFolder, tmp_path: Path, way: Way
) -> None:
    nodes = here.authority("nodes")
    assert nodes is not None
    earlier = datetime.now(UTC) - timedelta(minutes=30)
    pem, key, _ = write_node_pair(
        tmp_path / "old", nodes, now=earlier, length=timedelta(minutes=1)
    )
    async with served(serving(pem, key)) as url:
        told = await way(url, Trust(ca=str(here.trusted("nodes"))))

    assert "is over" in told
    assert "nexa selftest --only node.certificate" in told


@pytest.mark.parametrize("way", WAYS)
async def test_a_certificate_for_another_name(
    here: TlsFolder, tmp_path: Path, way: Way
) -> None:
    pem, key, _ = _for_elsewhere(here, tmp_path)
    async with served(serving(pem, key)) as url:
        told = await way(url, Trust(ca=str(here.trusted("nodes"))))

    assert "is for other names than that one" in told
    assert "[http] names" in told


@pytest.mark.parametrize("way", WAYS)
async def test_somebody_who_speaks_no_tls(here: TlsFolder, way: Way) -> None:
    async with _plain() as url:
        told = await way(url, Trust(ca=str(here.trusted("nodes"))))

    assert "does not speak TLS" in told
    assert "http://" in told


@pytest.mark.parametrize("way", WAYS)
async def test_t17_nobody_is_talked_down_to_an_older_version(
    here: TlsFolder, way: Way
) -> None:
    context = serving(here.node_certificate, here.node_key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with _alerting(context) as url:
        told = await way(url, Trust(ca=str(here.trusted("nodes"))))

    assert "no version of TLS in common" in told


@pytest.mark.parametrize("way", WAYS)
async def test_a_certificate_of_ours_that_is_not_taken(
    here: TlsFolder, tmp_path: Path, way: Way
) -> None:
    stranger = folder_at(tmp_path / "stranger", now=datetime.now(UTC))
    clients = stranger.authority("clients")
    assert clients is not None
    pem, key, _ = write_pair(tmp_path / "one", clients, now=datetime.now(UTC))
    async with _alerting(port_of(here).context()) as url:
        trust = Trust(str(here.trusted("nodes")), certificate=str(pem), key=str(key))
        told = await way(url, trust)

    assert "does not take the certificate that was shown to it" in told
    assert "nexa cert issue" in told


async def test_the_very_certificate_is_enough_where_the_node_says_so_itself(
    here: TlsFolder, tmp_path: Path
) -> None:
    pem, key, _ = _for_elsewhere(here, tmp_path)
    async with served(serving(pem, key)) as url:
        pinned = context_for(url, Trust(ca=str(pem), by_name=False))
        number = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", number, ssl=pinned)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("what", ["no file", "no pem", "open key", "no key"])
def test_files_that_can_not_be_used_are_named(
    here: TlsFolder, tmp_path: Path, what: str
) -> None:
    clients = here.authority("clients")
    assert clients is not None
    pem, key, _ = write_pair(tmp_path / "one", clients, now=datetime.now(UTC))
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    if what == "open key":
        key.chmod(0o644)
    if what == "no key":
        key.unlink()
    trust = {
        "no file": Trust(ca=str(tmp_path / "nothing")),
        "no pem": Trust(ca=str(broken)),
        "open key": Trust(certificate=str(pem), key=str(key)),
        "no key": Trust(certificate=str(pem), key=str(key)),
    }[what]
    named = {"no file": "nothing", "no pem": "broken.pem"}.get(what, "one.key")

    with pytest.raises(Invalid) as told:
        context_for("https://127.0.0.1", trust)
    assert named in told.value.message
    assert told.value.remedy is not None
    source = tls_source(
        None, {}, ca=trust.ca, certificate=trust.certificate, key=trust.key
    )
    with pytest.raises(Invalid) as agents:
        source()
    assert agents.value.remedy is not None


def test_plain_http_reads_no_files() -> None:
    assert context_for("http://127.0.0.1:1", Trust(ca="/nowhere")) is None


def test_the_environment_names_what_is_not_known() -> None:
    environ = {"NEXA_CA_FILE": "ca", "NEXA_CERT_FILE": "cert", "NEXA_KEY_FILE": "key"}

    assert with_environment(SYSTEM, environ) == Trust("ca", True, "cert", "key")
    assert with_environment(Trust(ca="own"), environ).ca == "own"
    assert with_environment(Trust(certificate="own"), environ).certificate == "own"
    pinned = with_environment(SYSTEM, {**environ, "NEXA_CA_PINNED": "1"})
    assert not pinned.by_name
    assert with_environment(SYSTEM, {}) == SYSTEM


def test_what_is_not_known_is_told_in_its_own_words() -> None:
    known = explain("https://n", verify_code=9, reason=None, text="")
    other = explain("https://n", verify_code=99, reason=None, text="odd one")
    strange = explain("https://n", verify_code=None, reason="X_Y", text="odd two")

    assert "not valid yet" in known.why
    assert "odd one" in other.why
    assert "odd two" in strange.why


def _for_elsewhere(here: TlsFolder, folder: Path) -> tuple[Path, Path, str]:
    """A server's certificate for no name of this machine."""
    nodes = here.authority("nodes")
    assert nodes is not None
    return elsewhere_pair(folder / "elsewhere", nodes, now=datetime.now(UTC))


@asynccontextmanager
async def _plain() -> AsyncGenerator[str]:
    """A web server without TLS: it answers what it takes for a bad request."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def _alerting(context: ssl.SSLContext) -> AsyncGenerator[str]:
    """Our own port, which says why it ends; asyncio's server keeps that to itself."""
    door = SimpleNamespace(context=lambda: context, check_context=lambda: None)
    async with opened(FakeNode(), tls=cast("PortTls", door)) as port:
        yield port.url
