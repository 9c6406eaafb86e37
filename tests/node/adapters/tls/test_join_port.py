"""The join port over real sockets: who is let in, who is not, and what they cost."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from nexa_node.adapters.tls import authority, certificates, join_server, limits
from nexa_node.adapters.tls.authority import Authority
from nexa_node.adapters.tls.contexts import (
    blind_context,
    pinned_context,
    server_context,
)
from nexa_node.adapters.tls.credentials import NodeCredentials, Presented
from nexa_node.adapters.tls.join_client import exchange
from nexa_node.adapters.tls.join_records import FileJoinRecords
from nexa_node.adapters.tls.join_server import JoinServer
from nexa_node.contract.errors import Unauthorized, Unavailable, problem
from nexa_node.core.join_tokens import (
    Admitted,
    Greeting,
    JoinAnswer,
    Stranger,
    parse,
)
from nexa_node.services.cluster.join_means import JoinDesk, JoinMeans, Reply
from nexa_node.services.cluster.joiner import Newcomer, join
from nexa_node.services.cluster.joining import Joining
from tests.builders import identity
from tests.fakes import CountingEntropy, FakeClock, RecordingJournal
from tests.joining import (
    FixedSeat,
    MemoryEntries,
    Spawned,
    credentials,
    join_request,
    wall,
)

ADMITTED = Admitted(
    cluster="nexa", cluster_id="c1", name="beta", by="alpha", routes=(),
    route_password="", certificate="", node_ca="", node_ca_key="", client_ca="",
    client_ca_key="",
)  # fmt: skip


class Desk:
    """A desk that admits everybody, and notes who came."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.away: list[str] = []
        self.sent: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers = JoinAnswer(admitted=ADMITTED)

    async def answer(self, line: bytes, address: str) -> Reply:
        self.lines.append(line)
        await self.gate.wait()
        return Reply(msgspec.json.encode(self.answers), self.sent.append)

    def turned_away(self, reason: str, address: str) -> None:
        self.away.append(reason)


@asynccontextmanager
async def door(
    path: Path,
    desk: JoinDesk,
    *,
    present: Callable[[], Awaitable[Presented]] | None = None,
) -> AsyncIterator[tuple[str, JoinServer, bytes]]:
    trust = credentials(path / "alpha")
    pin = await trust.establish()
    server = JoinServer(
        bind="127.0.0.1",
        port=0,
        hosts=("127.0.0.1",),
        present=present or trust.presented,
    )
    (address,) = await server.open(desk)
    try:
        yield address, server, pin
    finally:
        await server.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def raw(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def secured(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(
        host, int(port), ssl=blind_context(), limit=64 * 1024
    )
    await reader.readline()
    return reader, writer


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait for the other side to be gone, in order or not."""
    async with asyncio.timeout(10):
        try:
            return await reader.read() == b""
        except OSError:
            return True


# -- from end to end -------------------------------------------------------------


async def test_a_node_joins_with_nothing_but_its_token(tmp_path: Path) -> None:
    trust, journal, spawned = (
        credentials(tmp_path / "alpha"),
        RecordingJournal(),
        Spawned(),
    )
    server = JoinServer(
        bind="127.0.0.1", port=0, hosts=("127.0.0.1",), present=trust.presented
    )
    joining = Joining(
        JoinMeans(
            node="alpha", version="0.1.0", members=MemoryEntries(), credentials=trust,
            records=FileJoinRecords(tmp_path / "alpha/tls/join-tokens.json"),
            seat=FixedSeat(), door=server, clock=FakeClock(), journal=journal,
            entropy=CountingEntropy(), spawn=spawned,
        )
    )  # fmt: skip
    made = await joining.issue(expires_s=60, by=identity("admin"))
    beta = Newcomer(
        name="beta", id="b1", route="127.0.0.1:6333", url="", version="0.1.0",
        has_data=False,
    )  # fmt: skip

    admitted = await join(
        made.token,
        newcomer=beta,
        wallet=credentials(tmp_path / "beta", "beta"),
        exchange=exchange,
        clock=FakeClock(),
    )

    assert admitted.routes == ("127.0.0.1:6222",)
    await until(lambda: spawned.names == ["forming"])
    spawned.drop()
    with pytest.raises(Unauthorized, match="good for one node"):
        await join(
            made.token,
            newcomer=beta,
            wallet=credentials(tmp_path / "gamma", "beta"),
            exchange=exchange,
            clock=FakeClock(),
        )
    await server.close()
    kept = (tmp_path / "alpha/tls/join-tokens.json").read_text()
    assert parse(made.token).secret not in kept + repr(journal.records)


async def test_the_port_is_closed_when_the_door_is(tmp_path: Path) -> None:
    async with door(tmp_path, Desk()) as (address, server, pin):
        assert server.is_open
    assert not server.is_open

    with pytest.raises(Unavailable, match="can't be reached") as caught:
        await exchange(address, pin, join_request())
    assert "nexa cluster join-token" in caught.value.remedy


async def test_a_door_that_is_open_stays_where_it_is(tmp_path: Path) -> None:
    async with door(tmp_path, Desk()) as (address, server, _):
        assert await server.open(Desk()) == (address,)


async def test_a_preferred_port_is_taken_if_it_is_free(tmp_path: Path) -> None:
    async with door(tmp_path, Desk()) as (address, server, _):
        port = int(address.rpartition(":")[2])
        beside = JoinServer(
            bind="127.0.0.1", port=0, hosts=("h",), present=server._present
        )
        (elsewhere,) = await beside.open(Desk(), prefer=port)
        assert elsewhere != f"h:{port}"
        await server.close()
        await beside.close()
        assert await beside.open(Desk(), prefer=port) == (f"h:{port}",)
        await beside.close()


async def test_a_set_port_that_is_taken_is_told_with_the_setting(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, Desk()) as (address, server, _):
        port = int(address.rpartition(":")[2])
        beside = JoinServer(
            bind="127.0.0.1", port=port, hosts=("h",), present=server._present
        )
        with pytest.raises(Unavailable, match="can't be opened") as caught:
            await beside.open(Desk())
        assert "join_port" in caught.value.remedy
        assert not beside.is_open


# -- who answers is not who should -----------------------------------------------


Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    serve: Served, context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server of the test's own; ends when all its connections have."""
    inside: set[object] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside.add(writer)
        try:
            with suppress(OSError):
                await serve(reader, writer)
                await reader.read()
        finally:
            writer.transport.abort()
            inside.discard(writer)

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await until(lambda: not inside)


class Impostor:
    """A server that greets with what it likes and notes what it is told."""

    def __init__(self, greeting: bytes, context: ssl.SSLContext) -> None:
        self.greeting = greeting
        self.context = context
        self.heard: list[bytes] = []

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(self.greeting)
        self.heard.append(await reader.read())


def greeting(*authorities: Authority) -> bytes:
    told = tuple(certificates.to_der(each.certificate) for each in authorities)
    return msgspec.json.encode(Greeting(authorities=told)) + b"\n"


def shown(
    path: Path, issuer: Authority, *, age: timedelta = timedelta()
) -> ssl.SSLContext:
    """A node certificate of `issuer`, as a server shows it, its authority attached."""
    path.mkdir(parents=True, exist_ok=True)
    key = certificates.new_key()
    made = authority.sign_node(
        issuer, key.public_key(), name="x", hosts=(), now=wall() - age
    )
    (path / "x.pem").write_bytes(certificates.to_pem(made, issuer.certificate))
    (path / "x.key").write_bytes(certificates.key_to_pem(key))
    return server_context(path / "x.pem", path / "x.key")


def nodes(*, age: timedelta = timedelta()) -> Authority:
    return authority.make("nodes", cluster="nexa", now=wall() - age)


async def refused(impostor: Impostor, pin: bytes, words: str) -> None:
    async with serving(impostor.serve, impostor.context) as address:
        with pytest.raises(Stranger, match=words):
            await exchange(address, pin, join_request(secret="canary-secret"))
    assert b"".join(impostor.heard) == b""


async def test_t16_another_cluster_is_told_nothing(tmp_path: Path) -> None:
    ours, theirs = nodes(), nodes()
    impostor = Impostor(greeting(theirs), shown(tmp_path, theirs))

    await refused(impostor, certificates.pin(ours.certificate), "another one")


async def test_t16_the_right_authority_attached_to_a_self_made_certificate_is_not_enough(
    tmp_path: Path,
) -> None:
    """Anybody may have the authority's certificate; only its key counts."""
    ours, theirs = nodes(), nodes()
    (tmp_path / "x").mkdir()
    key = certificates.new_key()
    made = authority.sign_node(theirs, key.public_key(), name="x", hosts=(), now=wall())
    chain = tmp_path / "x/chain.pem"
    chain.write_bytes(certificates.to_pem(made, ours.certificate))
    (tmp_path / "x/key.pem").write_bytes(certificates.key_to_pem(key))
    impostor = Impostor(greeting(ours), server_context(chain, tmp_path / "x/key.pem"))

    await refused(impostor, certificates.pin(ours.certificate), "issuer certificate")


async def test_an_authority_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    """Forged: the issuer's name is copied, the signature can't be."""
    ours = nodes()
    forged = Authority("nodes", ours.certificate, certificates.new_key())
    impostor = Impostor(greeting(ours), shown(tmp_path, forged))

    await refused(impostor, certificates.pin(ours.certificate), "signature|issuer")


async def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    ours = nodes(age=timedelta(days=200))
    impostor = Impostor(greeting(ours), shown(tmp_path, ours, age=timedelta(days=100)))

    await refused(impostor, certificates.pin(ours.certificate), "expired")


async def test_an_expired_authority_is_refused(tmp_path: Path) -> None:
    ours = nodes(age=timedelta(days=3660))
    impostor = Impostor(greeting(ours), shown(tmp_path, ours, age=timedelta(days=3600)))

    await refused(impostor, certificates.pin(ours.certificate), "expired")


async def test_a_certificate_of_the_future_is_refused(tmp_path: Path) -> None:
    ours = nodes()
    ahead = timedelta(days=-2)
    impostor = Impostor(greeting(ours), shown(tmp_path, ours, age=ahead))

    await refused(impostor, certificates.pin(ours.certificate), "not yet valid")


async def test_a_clients_certificate_does_not_serve(tmp_path: Path) -> None:
    clients = authority.make("clients", cluster="nexa", now=wall())
    key = certificates.new_key()
    made = authority.sign_client(
        clients, key.public_key(), identity="agent:a1", now=wall()
    )
    (tmp_path / "c.pem").write_bytes(certificates.to_pem(made))
    (tmp_path / "c.key").write_bytes(certificates.key_to_pem(key))
    impostor = Impostor(
        greeting(clients), server_context(tmp_path / "c.pem", tmp_path / "c.key")
    )

    await refused(impostor, certificates.pin(clients.certificate), "purpose")


async def test_a_node_cannot_sign_for_another_one(tmp_path: Path) -> None:
    """A member's leaf, used as if it were an authority below the pinned one."""
    ours = nodes()
    key = certificates.new_key()
    leaf = authority.sign_node(ours, key.public_key(), name="x", hosts=(), now=wall())
    below = Authority("nodes", leaf, key)
    impostor = Impostor(greeting(ours), shown(tmp_path, below))

    await refused(impostor, certificates.pin(ours.certificate), "issuer|CA|basic")


async def test_a_pin_of_something_that_is_no_authority_is_refused(
    tmp_path: Path,
) -> None:
    ours = nodes()
    key = certificates.new_key()
    leaf = authority.sign_node(ours, key.public_key(), name="x", hosts=(), now=wall())
    impostor = Impostor(greeting(Authority("nodes", leaf, key)), shown(tmp_path, ours))

    await refused(impostor, certificates.pin(leaf), "something else than an authority")


@pytest.mark.parametrize("said", [
    b"{}\n", b"hello\n", b'{"authorities":["AAAA"]}\n', b"\xff\n", b"[[[\n",
])  # fmt: skip
async def test_who_greets_otherwise_is_a_stranger(tmp_path: Path, said: bytes) -> None:
    ours = nodes()
    impostor = Impostor(said, shown(tmp_path, ours))

    await refused(impostor, certificates.pin(ours.certificate), "not the cluster")


async def test_tls_1_2_is_not_spoken(tmp_path: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    desk = Desk()
    async with door(tmp_path, desk) as (address, _, _pin):
        host, _, port = address.rpartition(":")
        with pytest.raises(OSError):  # noqa: PT011  # an alert, or a reset
            await asyncio.open_connection(host, int(port), ssl=old)
        await until(lambda: desk.away)

    assert desk.away == ["no TLS 1.3 within 5 s"]


async def test_a_server_that_speaks_no_tls_is_a_stranger() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(web) as address:
        with pytest.raises(Stranger, match="TLS"):
            await exchange(address, bytes(32), join_request())


async def test_who_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexa_node.adapters.tls.join_client.STEP_S", 0.2)

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(mute) as address:
        with pytest.raises(Unavailable, match="does not answer"):
            await exchange(address, bytes(32), join_request())


# -- the answer ------------------------------------------------------------------


async def test_what_is_refused_arrives_as_the_error_it_was(tmp_path: Path) -> None:
    desk = Desk()
    desk.answers = JoinAnswer(problem=problem(Unauthorized("no", remedy="do this")))
    async with door(tmp_path, desk) as (address, _, pin):
        with pytest.raises(Unauthorized, match="no") as caught:
            await exchange(address, pin, join_request())

    assert caught.value.remedy == "do this"


async def test_an_answer_that_says_neither_is_no_answer(tmp_path: Path) -> None:
    desk = Desk()
    desk.answers = JoinAnswer()
    async with door(tmp_path, desk) as (address, _, pin):
        with pytest.raises(Unavailable, match="neither yes nor no"):
            await exchange(address, pin, join_request())


async def test_the_desk_hears_whether_its_answer_arrived(tmp_path: Path) -> None:
    desk = Desk()
    async with door(tmp_path, desk) as (address, _, pin):
        await exchange(address, pin, join_request())
        await until(lambda: desk.sent)
        desk.gate.clear()
        _, writer = await secured(address)
        writer.write(b"{}\n")
        await until(lambda: len(desk.lines) == 2)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        desk.gate.set()
        await until(lambda: len(desk.sent) == 2)

    assert desk.sent[0] is True


async def test_a_desk_that_fails_costs_that_connection_only(tmp_path: Path) -> None:
    class Broken(Desk):
        async def answer(self, line: bytes, address: str) -> Reply:
            if not self.lines:
                self.lines.append(line)
                raise RuntimeError("a fault")
            return await super().answer(line, address)

    async with door(tmp_path, Broken()) as (address, _, pin):
        with pytest.raises(Unavailable, match="hung up"):
            await exchange(address, pin, join_request())
        assert await exchange(address, pin, join_request()) == ADMITTED


# -- floods ----------------------------------------------------------------------


async def test_a_huge_line_is_cut_off(tmp_path: Path) -> None:
    desk = Desk()
    async with door(tmp_path, desk) as (address, _, _pin):
        reader, writer = await secured(address)
        writer.write(b"a" * (4 * limits.REQUEST_MAX))
        await closed(reader)
        writer.transport.abort()
        await until(lambda: desk.away)

    assert desk.away == [f"a line over {limits.REQUEST_MAX} bytes"]
    assert desk.lines == []


async def test_who_dribbles_a_line_is_cut_off_however_busy_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_server, "STEP_S", 0.3)
    desk = Desk()
    async with door(tmp_path, desk) as (address, _, _pin):
        reader, writer = await secured(address)
        async with asyncio.timeout(5):
            while not desk.away:
                writer.write(b" ")
                await asyncio.sleep(0.02)
        await closed(reader)
        writer.transport.abort()

    assert desk.away == ["no whole line within 0 s"]


async def test_who_never_begins_with_tls_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_server, "STEP_S", 0.2)
    desk = Desk()
    async with door(tmp_path, desk) as (address, server, _pin):
        reader, writer = await raw(address)
        assert await closed(reader)
        writer.close()
        await until(lambda: server.inside == 0)

    assert len(desk.away) == 1


async def test_garbage_instead_of_tls_is_cut_off(tmp_path: Path) -> None:
    desk = Desk()
    async with door(tmp_path, desk) as (address, _, _pin):
        reader, writer = await raw(address)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        await closed(reader)
        writer.close()
        await until(lambda: desk.away)

    assert desk.away == ["no TLS 1.3 within 5 s"]


async def test_a_line_that_breaks_off_is_noted_and_one_that_never_began_is_not(
    tmp_path: Path,
) -> None:
    desk = Desk()
    async with door(tmp_path, desk) as (address, server, _pin):
        for said in (b"", b"{"):
            _, writer = await secured(address)
            writer.write(said)
            writer.close()
            await writer.wait_closed()
            await until(lambda: server.inside == 0)

    assert desk.away == ["it left in the middle of a line"]


async def test_idle_connections_do_not_keep_a_joiner_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow loris: every place is taken by somebody who says nothing."""
    monkeypatch.setattr(join_server, "PATIENCE_S", 0.1)
    desk = Desk()
    async with door(tmp_path, desk) as (address, server, pin):
        idle = [await raw(address) for _ in range(join_server.INSIDE_MAX)]
        await until(lambda: server.inside == join_server.INSIDE_MAX)
        await asyncio.sleep(0.1)

        assert await exchange(address, pin, join_request()) == ADMITTED

        assert server.inside <= join_server.INSIDE_MAX
        assert "too slow, others waited" in desk.away
        for _, writer in idle:
            writer.transport.abort()


async def test_more_than_eight_at_once_are_turned_away(tmp_path: Path) -> None:
    desk = Desk()
    desk.gate.clear()
    async with door(tmp_path, desk) as (address, server, pin):
        asking = [
            asyncio.ensure_future(exchange(address, pin, join_request()))
            for _ in range(4)
        ]
        await until(lambda: len(desk.lines) == 4)
        more = [await raw(address) for _ in range(4)]
        await until(lambda: server.inside == 8)
        reader, writer = await raw(address)
        assert await closed(reader)
        writer.close()

        desk.gate.set()
        assert await asyncio.gather(*asking) == [ADMITTED] * 4
        for _, each in more:
            each.transport.abort()

    assert "too many connections" in desk.away


async def test_closing_the_door_sends_away_who_is_inside(tmp_path: Path) -> None:
    desk = Desk()
    desk.gate.clear()
    async with door(tmp_path, desk) as (address, server, _pin):
        reader, writer = await secured(address)
        writer.write(b"{}\n")
        await until(lambda: desk.lines)
        await server.close()
        assert server.inside == 0
        assert await closed(reader)
        writer.transport.abort()


async def test_the_second_connection_trusts_the_named_authority_alone() -> None:
    context = pinned_context(certificates.to_der(nodes().certificate))

    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


async def test_a_node_without_a_certificate_opens_no_door(tmp_path: Path) -> None:
    empty: NodeCredentials = credentials(tmp_path)
    server = JoinServer(bind="127.0.0.1", port=0, hosts=("h",), present=empty.presented)
    with pytest.raises(Unavailable, match="no certificate"):
        await server.open(Desk())
    assert not server.is_open
