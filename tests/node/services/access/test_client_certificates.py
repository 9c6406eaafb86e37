"""Clients' certificates: a token's rights without a token's secret."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from nexa_node.adapters.tls import certificates
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.adapters.tls.signer import ClientSigner
from nexa_node.contract.access import (
    CertificateIssued,
    NewCertificate,
    RenewCertificate,
    RoleName,
    Scope,
)
from nexa_node.contract.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NexaError,
    NotFound,
    RateLimited,
    Unauthorized,
)
from nexa_node.services.access.access import Access
from nexa_node.services.access.client_certificates import ClientCertificates
from tests.builders import identity
from tests.certificates import folder_at, write_node_pair, write_pair
from tests.fakes import (
    CountingEntropy,
    FakeClock,
    MemoryStore,
    RecordingJournal,
    settle,
)

ADMIN = identity("admin")


def csr() -> str:
    return certificates.request_for(certificates.new_key()).decode()


def sha256(pem: str) -> str:
    return certificates.facts(certificates.from_pem(pem.encode())[0]).fingerprint


class Scene:
    """An `Access` over a store in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ended: list[tuple[str, str]] = []
        self.access = Access(
            tokens=MemoryStore(self.clock).tokens,
            clock=self.clock,
            journal=RecordingJournal(),
            entropy=CountingEntropy(),
        )
        self.access.on_ended(lambda who, why: self.ended.append((who, why)))


class Office:
    """Certificates over a real folder."""

    def __init__(self, scene: Scene, folder: TlsFolder, *, plain: bool = False) -> None:
        self.scene, self.access = scene, scene.access
        self.signer = ClientSigner(
            folder,
            clients=None if plain else folder.trusted("clients"),
            nodes_are_ours=True,
            now=scene.clock.now,
        )
        self.desk = ClientCertificates(scene.access, self.signer, clock=scene.clock)

    async def issue(
        self, role: RoleName = "agent", **more: object
    ) -> CertificateIssued:
        wanted = NewCertificate(role=role, csr=csr(), **more)  # type: ignore[arg-type]  # its own words
        return await self.desk.issue(wanted, by=ADMIN)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    scene = Scene()
    loops = [
        asyncio.create_task(scene.access.watch()),
        asyncio.create_task(scene.access.expire()),
    ]
    await settle()
    yield Office(scene, folder_at(tmp_path / "tls", now=scene.clock.now()))
    for loop in loops:
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop


async def test_a_certificate_says_who_somebody_is_and_what_he_may(
    office: Office,
) -> None:
    made = await office.issue(
        name="counters", scope=Scope(namespaces=("a",)), expires_s=86_400
    )

    found = office.access.by_certificate(sha256(made.certificate), address="10.0.0.1")

    assert (found.id, found.role, found.name) == (
        f"token:{made.id}", "agent", "counters",
    )  # fmt: skip
    assert found.scope.namespaces == ("a",)
    assert made.expires - office.scene.clock.now() == timedelta(days=1)
    assert "BEGIN CERTIFICATE" in made.authorities
    assert [one.id for one in office.desk.views()] == [made.id]


async def test_it_is_no_token_and_has_no_secret(office: Office) -> None:
    made = await office.issue()

    with pytest.raises(Unauthorized):
        office.access.authenticate(f"nxa_{made.id}_", address="10.0.0.1")
    with pytest.raises(Invalid, match="has no secret to rotate"):
        await office.access.rotate(made.id, overlap_s=0, by=ADMIN)


async def test_revoked_it_is_nobodys_and_everybody_is_told(office: Office) -> None:
    made = await office.issue()
    await office.access.revoke(made.id, by=ADMIN)

    with pytest.raises(Unauthorized, match="not known here: revoked"):
        office.access.by_certificate(sha256(made.certificate), address="10.0.0.1")
    assert office.scene.ended == [(f"token:{made.id}", "the token was revoked")]


async def test_it_ends_by_itself_and_is_told_so(office: Office) -> None:
    made = await office.issue(expires_s=60)
    await office.scene.clock.advance(61)
    await settle()

    with pytest.raises(Unauthorized, match="the certificate ended at"):
        office.access.by_certificate(sha256(made.certificate), address="10.0.0.1")
    assert office.scene.ended == [(f"token:{made.id}", "the token expired")]


async def test_guessing_with_revoked_ones_is_limited(office: Office) -> None:
    refused: list[type[NexaError]] = []
    for number in range(30):
        with pytest.raises(NexaError) as told:
            office.access.by_certificate(f"{number:064x}", address="10.0.0.9")
        refused.append(told.type)

    assert (refused[0], refused[-1]) == (Unauthorized, RateLimited)


async def test_renewed_it_is_the_same_holder_and_the_old_one_opens_too(
    office: Office,
) -> None:
    made = await office.issue(expires_s=86_400)
    await office.scene.clock.advance(3600)
    holder = identity("agent", id=f"token:{made.id}")

    renewed = await office.desk.renew(made.id, RenewCertificate(csr=csr()), by=holder)
    await settle()

    both = [
        office.access.by_certificate(sha256(one.certificate), address="10.0.0.1").id
        for one in (made, renewed)
    ]
    assert both == [f"token:{made.id}"] * 2
    assert renewed.expires - made.expires == timedelta(hours=1)
    again = await office.desk.renew(made.id, RenewCertificate(csr=csr()), by=ADMIN)
    assert sha256(again.certificate)
    with pytest.raises(Unauthorized):  # the last two are good
        office.access.by_certificate(sha256(made.certificate), address="10.0.0.1")


async def test_nobody_renews_or_makes_what_reaches_farther_than_he_does(
    office: Office,
) -> None:
    made = await office.issue("admin")

    with pytest.raises(Forbidden):
        await office.desk.renew(
            made.id, RenewCertificate(csr=csr()), by=identity("operator")
        )
    with pytest.raises(Forbidden):
        await office.desk.issue(
            NewCertificate(role="admin", csr=csr()), by=identity("operator")
        )
    with pytest.raises(NotFound, match="no certificate"):
        await office.desk.renew("nobody", RenewCertificate(csr=csr()), by=ADMIN)


@pytest.mark.parametrize(
    "wanted",
    [
        NewCertificate(role="agent"),
        NewCertificate(role="agent", csr="x", certificate="y"),
        NewCertificate(role="agent", csr="no request"),
        NewCertificate(role="agent", certificate="no certificate"),
        NewCertificate(role="nobody", csr="x"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_kept(
    office: Office, wanted: NewCertificate
) -> None:
    with pytest.raises(Invalid):
        await office.desk.issue(wanted, by=ADMIN)

    assert office.desk.views() == ()


async def test_one_of_another_authority_is_let_in_by_its_hash(
    office: Office, tmp_path: Path
) -> None:
    now = office.scene.clock.now()
    there = folder_at(tmp_path / "there", now=now)
    clients, nodes = there.authority("clients"), there.authority("nodes")
    assert clients is not None
    assert nodes is not None
    signer = ClientSigner(
        folder_at(tmp_path / "own", now=now),
        clients=there.trusted("clients"),
        nodes_are_ours=False,
        now=office.scene.clock.now,
    )
    desk = ClientCertificates(office.access, signer, clock=office.scene.clock)
    pem, _, hashed = write_pair(tmp_path / "one", clients, now=now)
    stranger, _, _ = write_node_pair(tmp_path / "two", nodes, now=now)

    made = await desk.issue(
        NewCertificate(role="viewer", certificate=pem.read_text()), by=ADMIN
    )

    found = office.access.by_certificate(hashed, address="10.0.0.1")
    assert (found.id, made.certificate, made.authorities) == (
        f"token:{made.id}", "", "",
    )  # fmt: skip
    assert made.expires - now == timedelta(days=1)
    with pytest.raises(Conflict, match="are of the authorities in"):
        await desk.issue(NewCertificate(role="viewer", csr=csr()), by=ADMIN)
    with pytest.raises(Invalid, match="of no authority in"):
        await desk.issue(
            NewCertificate(role="viewer", certificate=stranger.read_text()), by=ADMIN
        )


async def test_where_no_tls_is_spoken_none_is_made(
    office: Office, tmp_path: Path
) -> None:
    folder = folder_at(tmp_path / "plain", now=office.scene.clock.now())
    plain = Office(office.scene, folder, plain=True)

    with pytest.raises(Conflict, match="speaks no TLS") as refused:
        await plain.issue()

    assert refused.value.remedy is not None
