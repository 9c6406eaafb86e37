"""Admitting, without a socket: the desk behind the join port, and the joiner's side."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_node.adapters.tls import certificates
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.contract.cluster import NodeEntry
from nexa_node.contract.errors import (
    Conflict,
    Duplicate,
    Forbidden,
    Invalid,
    NexaError,
    NotFound,
    Unauthorized,
    Unavailable,
    UnsupportedVersion,
    from_problem,
)
from nexa_node.core.admission import Joiner
from nexa_node.core.join_tokens import (
    AGAIN_S,
    EXPIRY_MAX_S,
    Admitted,
    JoinAnswer,
    JoinRequest,
    Stranger,
    parse,
)
from nexa_node.services.cluster.join_means import JoinMeans, Reply
from nexa_node.services.cluster.joiner import Newcomer, join
from nexa_node.services.cluster.joining import Joining
from tests.builders import identity
from tests.fakes import CountingEntropy, FakeClock, RecordingJournal, settle
from tests.joining import (
    FixedSeat,
    MemoryEntries,
    MemoryJoinRecords,
    PaperDoor,
    Spawned,
    credentials,
)

ADMIN = identity("admin")


class Member:
    """The node that is asked."""

    def __init__(self, path: Path, *, beside: "Member | None" = None) -> None:
        self.clock = beside.clock if beside else FakeClock()
        self.journal = RecordingJournal()
        self.records = beside.records if beside else MemoryJoinRecords()
        self.members = beside.members if beside else MemoryEntries()
        self.seat = FixedSeat()
        self.door = PaperDoor()
        self.spawned = beside.spawned if beside else Spawned()
        self.entropy = beside.entropy if beside else CountingEntropy()
        self.told: list[tuple[str, str]] = []
        self.fails: NexaError | None = None
        self.trust = credentials(path / "alpha")
        self.joining = Joining(
            JoinMeans(
                node="alpha",
                version="0.1.0",
                records=self.records,
                members=self.members,
                credentials=self.trust,
                seat=self.seat,
                door=self.door,
                clock=self.clock,
                journal=self.journal,
                entropy=self.entropy,
                spawn=self.spawned,
            ),
            on_first=self._form,
            on_admitted=self._note,
        )

    async def _form(self, joiner: Joiner) -> None:
        self.told.append(("first", joiner.name))
        if self.fails:
            raise self.fails
        self.seat.now = FixedSeat(formed=True).now

    async def _note(self, joiner: Joiner) -> None:
        self.told.append(("admitted", joiner.name))

    async def token(self, expires_s: int = 1800) -> str:
        return (await self.joining.issue(expires_s=expires_s, by=ADMIN)).token

    async def say(self, line: bytes, address: str = "10.0.0.2") -> Reply:
        return await self.joining.answer(line, address)

    async def ask(
        self, asked: JoinRequest, *, address: str = "10.0.0.2", arrives: bool = True
    ) -> Admitted:
        """Ask as the join port would; a refusal is raised as the joiner sees it."""
        reply = await self.say(msgspec.json.encode(asked), address)
        reply.sent(arrives)
        answer = msgspec.json.decode(reply.line, type=JoinAnswer)
        if answer.problem is not None:
            raise from_problem(answer.problem)
        assert answer.admitted is not None
        return answer.admitted

    def refusal(self) -> str:
        return str(self.journal.last("join.refused").data["reason"])


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    made = Member(tmp_path)
    yield made
    made.spawned.drop()


async def asking(
    path: Path, token: str, name: str = "beta", **given: Any
) -> JoinRequest:
    parts = parse(token)
    fields: dict[str, Any] = {
        "token": parts.id,
        "secret": parts.secret,
        "name": name,
        "id": f"{name}-id",
        "route": f"10.0.0.2:{6000 + len(name)}",
        "url": "http://10.0.0.2:7442",
        "version": "0.1.3",
        "csr": await credentials(path / name, name).request(),
    }
    return JoinRequest(**{**fields, **given})


# -- tokens ----------------------------------------------------------------------


async def test_a_token_opens_the_door_and_says_where_it_is_and_by_whom_it_is_trusted(
    member: Member,
) -> None:
    made = await member.joining.issue(expires_s=60, by=ADMIN)
    parts = parse(made.token)

    assert parts.addresses == ("127.0.0.1:7000",)
    assert parts.ca_sha256 == await member.trust.establish()
    assert made.expires == member.clock.now() + timedelta(seconds=60)
    assert member.door.is_open
    event = member.journal.last("join.token_issued")
    assert (event.subject, event.data["by"]) == (f"join-token/{parts.id}", ADMIN.id)


async def test_only_an_admin_has_to_do_with_join_tokens(member: Member) -> None:
    for act in (
        member.joining.issue(expires_s=60, by=identity("operator")),
        member.joining.tokens(by=identity("operator")),
        member.joining.revoke("0" * 16, by=identity("operator")),
    ):
        with pytest.raises(Forbidden):
            await act
    assert not member.door.is_open


@pytest.mark.parametrize("expires_s", [0, -1, EXPIRY_MAX_S + 1])
async def test_a_token_does_not_live_for_ever(member: Member, expires_s: int) -> None:
    with pytest.raises(Invalid, match="lives from 1"):
        await member.token(expires_s)


async def test_tokens_are_listed_without_secrets_and_can_be_revoked(
    member: Member, tmp_path: Path
) -> None:
    token = await member.token()
    (listed,) = await member.joining.tokens(by=ADMIN)
    assert token.split(".")[3] not in repr(listed)
    assert "sha256" not in repr(listed)

    await member.joining.revoke(listed.id, by=ADMIN)

    with pytest.raises(NotFound):
        await member.joining.revoke(listed.id, by=ADMIN)
    with pytest.raises(Unauthorized, match="not known here"):
        await member.ask(await asking(tmp_path, token))


async def test_the_door_closes_when_no_token_lives_any_more(member: Member) -> None:
    running = asyncio.ensure_future(member.joining.run())
    await settle()
    assert not member.door.is_open
    await member.token(60)
    await member.clock.advance(59)
    assert member.door.is_open

    await member.clock.advance(2)
    assert not member.door.is_open

    await member.clock.advance(2 * 24 * 3600)
    assert member.records.kept == {}
    running.cancel()


async def test_a_node_that_was_restarted_opens_the_same_door_again(
    member: Member, tmp_path: Path
) -> None:
    await member.token()
    again = Member(tmp_path, beside=member)

    await again.joining.tend()

    assert again.door.opened == [7000]


async def test_the_door_stays_shut_for_another_nodes_token(
    member: Member, tmp_path: Path
) -> None:
    await member.token()
    (kept,) = member.records.kept.values()
    moved = msgspec.structs.replace(kept.value, node="gamma")
    await member.records.put(moved, revision=kept.revision)
    again = Member(tmp_path, beside=member)

    await again.joining.tend()

    assert not again.door.is_open


# -- admitting -------------------------------------------------------------------


async def test_a_node_with_a_token_is_given_all_that_a_member_needs(
    member: Member, tmp_path: Path
) -> None:
    token = await member.token()
    asked = await asking(tmp_path, token)

    admitted = await member.ask(asked)

    assert (admitted.cluster, admitted.cluster_id, admitted.by) == (
        "nexa",
        "c1",
        "alpha",
    )
    assert admitted.routes == ("127.0.0.1:6222",)
    assert admitted.route_password == member.seat.now.route_password
    certificate = certificates.from_pem(admitted.certificate.encode())[0]
    facts = certificates.facts(certificate)
    assert facts.subject == "CN=node beta"
    assert set(facts.names) == {"10.0.0.2", "127.0.0.1", "::1", "localhost"}
    entry = member.members.kept["beta"].value
    assert (entry.id, entry.route, entry.incarnation) == ("beta-id", asked.route, "")
    event = member.journal.last("join.admitted")
    assert event.data["address"] == "10.0.0.2"


async def test_the_second_node_forms_the_cluster_and_later_ones_are_only_told_of(
    member: Member, tmp_path: Path
) -> None:
    await member.ask(await asking(tmp_path, await member.token()))
    await member.spawned.run()
    await member.ask(await asking(tmp_path, await member.token(), "gamma"))
    await member.spawned.run()

    assert member.told == [
        ("first", "beta"), ("admitted", "beta"), ("admitted", "gamma"),
    ]  # fmt: skip


async def test_while_a_cluster_is_formed_the_next_one_waits_and_keeps_its_token(
    member: Member, tmp_path: Path
) -> None:
    await member.ask(await asking(tmp_path, await member.token()))
    third = await asking(tmp_path, await member.token(), "gamma")

    with pytest.raises(Unavailable, match="being formed with beta") as caught:
        await member.ask(third)
    assert caught.value.retry_after_ms == 1000

    await member.spawned.run()
    assert (await member.ask(third)).name == "gamma"


async def test_a_cluster_that_could_not_be_formed_lets_go_of_the_name(
    member: Member, tmp_path: Path
) -> None:
    member.fails = Unavailable("beta never came")
    await member.ask(await asking(tmp_path, await member.token()))
    await member.spawned.run()

    assert member.journal.last("join.forming_failed").severity == "warning"
    assert member.members.kept == {}
    member.fails = None
    assert await member.ask(await asking(tmp_path, await member.token(), "gamma"))
    await member.spawned.run()
    assert member.told[-1] == ("admitted", "gamma")


async def test_a_cluster_is_not_formed_with_a_node_that_did_not_hear_the_answer(
    member: Member, tmp_path: Path
) -> None:
    token = await member.token()
    asked = await asking(tmp_path, token)
    await member.ask(asked, arrives=False)
    assert member.spawned.names == []

    again = await member.ask(asked)

    assert again.name == "beta"
    assert member.spawned.names == ["forming"]
    await member.ask(asked)
    assert member.spawned.names == ["forming"]


# -- what must not work ----------------------------------------------------------


async def test_a_used_token_admits_nobody_else(member: Member, tmp_path: Path) -> None:
    member.seat.now = FixedSeat(formed=True).now
    token = await member.token()
    await member.ask(await asking(tmp_path, token))

    with pytest.raises(Unauthorized, match="good for one node"):
        await member.ask(await asking(tmp_path, token, "mallory"))
    assert member.refusal() == "used"
    with pytest.raises(Unauthorized, match="good for one node"):
        await member.ask(await asking(tmp_path / "elsewhere", token))


async def test_replaying_a_whole_request_later_gets_nothing(
    member: Member, tmp_path: Path
) -> None:
    member.seat.now = FixedSeat(formed=True).now
    asked = await asking(tmp_path, await member.token())
    await member.ask(asked)
    await member.clock.advance(AGAIN_S)

    with pytest.raises(Unauthorized, match="good for one node"):
        await member.ask(asked)


async def test_an_expired_token_admits_nobody(member: Member, tmp_path: Path) -> None:
    asked = await asking(tmp_path, await member.token(60))
    await member.clock.advance(60)

    with pytest.raises(Unauthorized, match="expired at 12:01 UTC"):
        await member.ask(asked)
    assert member.refusal() == "expired"


async def test_a_token_of_another_cluster_is_no_token_here(
    member: Member, tmp_path: Path
) -> None:
    other = Member(tmp_path / "other")
    await member.token()
    foreign = await asking(tmp_path, await other.token())
    foreign = msgspec.structs.replace(foreign, token="f" * 16)

    with pytest.raises(Unauthorized, match="of another cluster"):
        await member.ask(foreign)


async def test_guessing_ends_after_five_and_the_right_secret_does_not_help_then(
    member: Member, tmp_path: Path
) -> None:
    right = await asking(tmp_path, await member.token())
    wrong = msgspec.structs.replace(right, secret="x" * 43)
    for _ in range(5):
        with pytest.raises(Unauthorized):
            await member.ask(wrong)

    with pytest.raises(NexaError, match="too many wrong join tokens") as caught:
        await member.ask(right)
    assert caught.value.retry_after_ms == 60_001
    assert member.refusal() == "limited"
    assert (await member.ask(right, address="10.0.0.9")).name == "beta"


async def test_a_flood_of_refusals_does_not_flood_the_journal(member: Member) -> None:
    for number in range(500):
        await member.say(b"{}", address=f"10.0.{number // 250}.{number % 250}")

    assert len(member.journal.records) <= 21
    assert member.joining.refusals["malformed"] == 500


@pytest.mark.parametrize("line", [
    b"", b"{}", b"null", b"[" * 100_000, b"\xff\xfe", b'{"token": 5}',
    b'{"v":1,"token":"' + b"a" * 400 + b'"}',
])  # fmt: skip
async def test_garbage_is_told_that_it_is_no_request(
    member: Member, line: bytes
) -> None:
    reply = await member.say(line)
    reply.sent(True)

    assert b"is no request to join" in reply.line
    assert member.refusal() == "malformed"


async def test_who_has_no_secret_is_not_read_any_further(
    member: Member, tmp_path: Path
) -> None:
    asked = await asking(tmp_path, await member.token(), name="../etc", csr="bad")
    asked = msgspec.structs.replace(asked, secret="x" * 43)

    with pytest.raises(Unauthorized, match="not known here"):
        await member.ask(asked)


MENDABLE: list[tuple[dict[str, Any], type[NexaError], str]] = [
    ({"name": "Beta!"}, Invalid, "slug"),
    ({"name": "alpha"}, Duplicate, "name of a member"),
    ({"version": "0.3.0"}, UnsupportedVersion, "runs nexa 0.3.0"),
    ({"version": "\x1b[31m"}, UnsupportedVersion, "unknown version"),
    ({"id": "a b"}, Invalid, "id is none"),
    ({"url": "javascript:alert(1)"}, Invalid, "URL is none"),
    ({"route": "0.0.0.0:6222"}, Invalid, "no address at which"),
    ({"route": "nowhere"}, Invalid, "no address"),
    ({"route": "127.0.0.1:6222"}, Duplicate, "another member's"),
    ({"csr": "garbage"}, Invalid, "certificate request"),
]


@pytest.mark.parametrize(("told", "kind", "words"), MENDABLE)
async def test_what_the_joiner_can_mend_does_not_cost_its_token(
    member: Member,
    tmp_path: Path,
    told: dict[str, Any],
    kind: type[NexaError],
    words: str,
) -> None:
    good = await asking(tmp_path, await member.token())

    with pytest.raises(kind, match=words):
        await member.ask(msgspec.structs.replace(good, **told))

    assert (await member.ask(good)).name == "beta"


async def test_a_living_members_name_is_not_taken_over_even_with_its_id(
    member: Member, tmp_path: Path
) -> None:
    member.seat.now = FixedSeat(formed=True).now
    await member.ask(await asking(tmp_path, await member.token()))
    before = member.members.kept["beta"]
    taker = await asking(tmp_path / "mallory", await member.token(), "beta")
    taker = msgspec.structs.replace(taker, route="10.0.0.66:6222")

    with pytest.raises(Duplicate, match="beta is the name of a member") as caught:
        await member.ask(taker)

    assert "nexa cluster remove beta" in caught.value.remedy
    assert member.members.kept["beta"] == before


@pytest.mark.parametrize(("left", "incarnation", "minutes", "is_free"), [
    (True, "r1", 0, True),
    (False, "", 11, True),
    (False, "", 9, False),
    (False, "r1", 60 * 24, False),
])  # fmt: skip
async def test_a_name_is_free_again_when_its_node_left_or_never_came(
    member: Member, tmp_path: Path,
    left: bool, incarnation: str, minutes: int, is_free: bool,
) -> None:  # fmt: skip
    member.seat.now = FixedSeat(formed=True).now
    entry = NodeEntry(
        name="beta", id="old", url="", route="10.0.0.3:1", version="0.1.0",
        joined=member.clock.now() - timedelta(minutes=minutes),
        left=left, incarnation=incarnation,
    )  # fmt: skip
    await member.members.put(entry)
    asked = await asking(tmp_path, await member.token())

    if is_free:
        await member.ask(asked)
        assert member.members.kept["beta"].value.id == "beta-id"
    else:
        with pytest.raises(Duplicate):
            await member.ask(asked)


async def test_of_two_joiners_racing_with_one_token_one_gets_in(
    member: Member, tmp_path: Path
) -> None:
    """Each through a desk of its own, so that only compare-and-set is between them."""
    member.seat.now = FixedSeat(formed=True).now
    other = Member(tmp_path, beside=member)
    other.seat.now = member.seat.now
    token = await member.token()
    racers = [
        member.ask(await asking(tmp_path, token, "beta")),
        other.ask(await asking(tmp_path, token, "gamma")),
    ]

    outcomes = await asyncio.gather(*racers, return_exceptions=True)

    assert sorted(type(each).__name__ for each in outcomes) == [
        "Admitted", "Unauthorized",
    ]  # fmt: skip
    assert len(member.members.kept) == 1


async def test_of_two_joiners_racing_for_one_name_the_loser_keeps_its_token(
    member: Member, tmp_path: Path
) -> None:
    member.seat.now = FixedSeat(formed=True).now
    other = Member(tmp_path, beside=member)
    other.seat.now = member.seat.now
    tokens = [await member.token(), await member.token()]
    first = await asking(tmp_path / "1", tokens[0], "beta")
    second = await asking(tmp_path / "2", tokens[1], "beta", route="10.0.0.5:1")

    outcomes = await asyncio.gather(
        member.ask(first), other.ask(second), return_exceptions=True
    )

    kinds = [type(each).__name__ for each in outcomes]
    assert sorted(kinds) == ["Admitted", "Duplicate"]
    loser = [first, second][kinds.index("Duplicate")]
    retried = msgspec.structs.replace(loser, name="gamma")
    assert (await member.ask(retried)).name == "gamma"


async def test_a_store_that_fails_between_token_and_name_costs_the_joiner_nothing(
    member: Member, tmp_path: Path
) -> None:
    asked = await asking(tmp_path, await member.token())
    member.members.is_away = True
    with pytest.raises(Unavailable):
        await member.ask(asked)
    member.members.is_away = False

    assert (await member.ask(asked)).name == "beta"


async def test_a_store_that_hangs_is_told_in_time(
    member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexa_node.services.cluster.joining.ANSWER_S", 0.05)
    asked = await asking(tmp_path, await member.token())

    async def hang(name: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(member.members, "get", hang)
    with pytest.raises(Unavailable, match="store does not answer"):
        await member.ask(asked)


async def test_a_name_that_was_taken_while_its_node_asked_again_is_not_its_own(
    member: Member, tmp_path: Path
) -> None:
    member.seat.now = FixedSeat(formed=True).now
    asked = await asking(tmp_path, await member.token())
    await member.ask(asked, arrives=False)
    found = member.members.kept["beta"].value
    await member.members.put(msgspec.structs.replace(found, id="somebody-else"))

    with pytest.raises(Duplicate):
        await member.ask(asked)


async def test_a_node_that_came_keeps_its_name_though_forming_failed(
    member: Member, tmp_path: Path
) -> None:
    member.fails = Unavailable("too slow")
    await member.ask(await asking(tmp_path, await member.token()))
    found = member.members.kept["beta"].value
    await member.members.put(msgspec.structs.replace(found, incarnation="r1"))
    await member.spawned.run()

    assert "beta" in member.members.kept


async def test_turned_away_connections_are_noted(member: Member) -> None:
    member.joining.turned_away("too many connections", "10.0.0.3")

    told = member.journal.last("join.refused")
    assert told.data == {"reason": "too many connections", "address": "10.0.0.3"}


async def test_no_secret_is_in_any_event(member: Member, tmp_path: Path) -> None:
    token = await member.token()
    asked = await asking(tmp_path, token)
    with pytest.raises(Unauthorized):
        await member.ask(msgspec.structs.replace(asked, secret="canary-secret"))
    await member.ask(asked)
    with pytest.raises(Unauthorized):
        await member.ask(await asking(tmp_path, token, "gamma"))

    told = repr(member.journal.records)
    for secret in (asked.secret, "canary-secret", "route-canary", "PRIVATE KEY"):
        assert secret not in told


# -- the joiner's side -----------------------------------------------------------


def newcomer(**given: Any) -> Newcomer:
    fields: dict[str, Any] = {
        "name": "beta",
        "id": "beta-id",
        "route": "10.0.0.2:6222",
        "url": "",
        "version": "0.1.0",
        "has_data": False,
    }
    return Newcomer(**{**fields, **given})


async def joined(member: Member, path: Path, token: str, **given: Any) -> Admitted:
    async def exchange(address: str, pin: bytes, request: JoinRequest) -> Admitted:
        return await member.ask(request)

    return await join(
        token,
        newcomer=newcomer(**given),
        wallet=credentials(path / "beta", "beta"),
        exchange=exchange,
        clock=member.clock,
    )


async def test_a_joiner_ends_with_a_certificate_that_its_cluster_trusts(
    member: Member, tmp_path: Path
) -> None:
    admitted = await joined(member, tmp_path, await member.token())

    folder = TlsFolder(tmp_path / "beta" / "tls")
    assert folder.issuer() == folder.authorities("nodes")[0]
    assert folder.own() is not None
    assert admitted.cluster == "nexa"
    for path in folder.path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


async def test_a_node_with_data_does_not_join(member: Member, tmp_path: Path) -> None:
    token = await member.token()
    with pytest.raises(Conflict, match="data of its own") as caught:
        await joined(member, tmp_path, token, has_data=True)

    assert "--name OTHER" in caught.value.remedy
    assert not (tmp_path / "beta").exists()


async def test_a_joiner_with_a_bad_name_does_not_even_ask(
    member: Member, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match="slug"):
        await joined(member, tmp_path, await member.token(), name="No Slug")

    assert "join.refused" not in member.journal.kinds()


class Line:
    """An exchange that answers as the test says, address by address."""

    def __init__(self, **by_host: Any) -> None:
        self.by_host = by_host
        self.asked: list[str] = []

    async def __call__(
        self, address: str, pin: bytes, request: JoinRequest
    ) -> Admitted:
        host = address.partition(":")[0]
        self.asked.append(host)
        outcome = self.by_host[host]
        told = outcome.pop(0) if isinstance(outcome, list) else outcome
        if isinstance(told, Exception):
            raise told
        return await told(request)


async def tried(member: Member, path: Path, line: Line, **given: Any) -> Admitted:
    member.door.port = 7000
    parts = parse(await member.token())
    token = type(parts)(
        parts.ca_sha256,
        parts.id,
        tuple(f"{host}:1" for host in line.by_host),
        parts.secret,
    ).text()
    asking = asyncio.ensure_future(
        join(
            token,
            newcomer=newcomer(),
            wallet=credentials(path / "beta", "beta"),
            exchange=line,
            clock=member.clock,
            **given,
        )
    )
    for _ in range(200):
        await settle()
        if asking.done():
            break
        await asyncio.sleep(0.005)
        await member.clock.advance(1)
    return await asking


async def test_every_address_is_tried_and_a_stranger_at_one_is_no_answer(
    member: Member, tmp_path: Path
) -> None:
    line = Line(a=Unavailable("away"), b=Stranger("who?"), c=member.ask)

    assert (await tried(member, tmp_path, line)).name == "beta"
    assert line.asked == ["a", "b", "c"]


async def test_a_stranger_is_told_of_before_an_address_that_is_away(
    member: Member, tmp_path: Path
) -> None:
    with pytest.raises(Stranger):
        await tried(member, tmp_path, Line(a=Stranger("who?"), b=Unavailable("away")))


async def test_a_joiner_waits_for_a_cluster_that_is_busy_but_not_for_ever(
    member: Member, tmp_path: Path
) -> None:
    busy = Unavailable("forming", retry_after_ms=500)
    line = Line(a=[busy, busy, member.ask])
    assert (await tried(member, tmp_path, line)).name == "beta"

    with pytest.raises(Unavailable, match="forming"):
        await tried(member, tmp_path, Line(a=busy), patience_s=3)


async def test_what_the_cluster_refuses_is_not_asked_again(
    member: Member, tmp_path: Path
) -> None:
    line = Line(a=Unauthorized("used"), b=member.ask)
    with pytest.raises(Unauthorized, match="used"):
        await tried(member, tmp_path, line)

    assert line.asked == ["a"]
