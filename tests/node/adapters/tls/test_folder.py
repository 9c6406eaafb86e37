"""Authorities and certificates in a folder: made, renewed, handed over, changed."""

import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nexa_node.adapters.tls import authority, certificates
from nexa_node.adapters.tls.folder import Bearer, TlsFolder
from nexa_node.adapters.tls.join_records import FileJoinRecords
from nexa_node.contract.errors import Conflict, Invalid, Unavailable
from nexa_node.core.join_tokens import Admitted, JoinRecord
from tests.joining import credentials, wall

ALPHA = Bearer("nexa", "alpha", ("10.0.0.1", "alpha.example"))
NOW = wall()


@pytest.fixture
def folder(tmp_path: Path) -> TlsFolder:
    made = TlsFolder(tmp_path / "tls")
    made.establish(ALPHA, now=NOW)
    return made


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> object:
    return certificate.extensions.get_extension_for_class(kind).value


# -- making ----------------------------------------------------------------------


def test_nobody_else_may_read_what_is_made(folder: TlsFolder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700
    names = {each.name for each in folder.path.iterdir()}
    assert names == {
        "node-ca.pem", "node-ca.key", "client-ca.pem", "client-ca.key", "node.pem",
        "node.key",
    }  # fmt: skip
    for each in folder.path.iterdir():
        assert each.stat().st_mode & 0o777 == 0o600, each.name


def test_a_node_is_certified_for_its_hosts_and_its_own_machine(
    folder: TlsFolder,
) -> None:
    facts = folder.facts()

    assert facts is not None
    assert set(facts.names) == {
        "10.0.0.1", "alpha.example", "127.0.0.1", "::1", "localhost",
    }  # fmt: skip
    assert facts.subject == "CN=node alpha"
    assert facts.life.ends - NOW > timedelta(days=89)
    assert (len(facts.fingerprint), len(facts.key_pin)) == (64, 64)
    assert not facts.is_authority


def test_the_two_authorities_have_nothing_in_common(folder: TlsFolder) -> None:
    nodes, clients = folder.authority("nodes"), folder.authority("clients")

    assert nodes is not None
    assert clients is not None
    assert nodes.key.public_key() != clients.key.public_key()
    assert nodes.certificate.subject != clients.certificate.subject
    constraints = extension(clients.certificate, x509.NameConstraints)
    assert isinstance(constraints, x509.NameConstraints)
    assert len(constraints.excluded_subtrees or []) == 3
    assert "key=" not in repr(nodes)


def test_what_is_good_is_left_alone(folder: TlsFolder) -> None:
    before = {each.name: each.read_bytes() for each in folder.path.iterdir()}

    assert not folder.establish(ALPHA, now=NOW + timedelta(days=59))
    assert before == {each.name: each.read_bytes() for each in folder.path.iterdir()}


@pytest.mark.parametrize("later", [timedelta(days=61), timedelta(days=120)])
def test_a_certificate_is_renewed_for_the_same_key(
    folder: TlsFolder, later: timedelta
) -> None:
    before = folder.facts()
    assert folder.establish(ALPHA, now=NOW + later)
    after = folder.facts()

    assert before is not None
    assert after is not None
    assert after.key_pin == before.key_pin
    assert after.fingerprint != before.fingerprint


def test_a_node_that_is_reached_by_another_host_gets_another_certificate(
    folder: TlsFolder,
) -> None:
    moved = Bearer("nexa", "alpha", ("10.0.0.9",))

    assert folder.establish(moved, now=NOW)
    assert not folder.establish(moved, now=NOW)


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
@pytest.mark.parametrize("name", ["node.pem", "node.key"])
def test_a_damaged_certificate_or_key_of_the_node_is_made_anew(
    folder: TlsFolder, name: str, damage: bytes | None
) -> None:
    path = folder.path / name
    path.unlink() if damage is None else path.write_bytes(damage)

    assert folder.establish(ALPHA, now=NOW)
    assert folder.issuer() == folder.authorities("nodes")[0]


@pytest.mark.parametrize(("name", "damage", "words"), [
    ("node-ca.key", None, "is missing"),
    ("node-ca.key", b"garbage", "can't be read"),
    ("node-ca.pem", b"garbage", "can't be read"),
    ("client-ca.key", None, "is missing"),
])  # fmt: skip
def test_a_damaged_authority_is_never_replaced(
    folder: TlsFolder, name: str, damage: bytes | None, words: str
) -> None:
    path = folder.path / name
    path.unlink() if damage is None else path.write_bytes(damage)

    with pytest.raises(Invalid, match=words):
        folder.establish(ALPHA, now=NOW)


def test_a_key_that_others_may_read_is_a_secret_no_more(folder: TlsFolder) -> None:
    folder.signing_key("nodes").chmod(0o644)

    with pytest.raises(Invalid, match="other users may read it") as caught:
        folder.authority("nodes")
    assert "chmod 600" in caught.value.remedy


def test_a_planted_link_is_not_followed(folder: TlsFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder.node_key.rename(elsewhere)
    folder.node_key.symlink_to(elsewhere)

    with pytest.raises(Invalid, match="can't be read"):
        folder.own()


def test_a_first_start_that_was_killed_halfway_begins_again(tmp_path: Path) -> None:
    folder = TlsFolder(tmp_path / "tls")
    folder.establish(ALPHA, now=NOW)
    folder.trusted("nodes").unlink()

    assert folder.establish(ALPHA, now=NOW)
    assert folder.issuer() is not None


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_with_a_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match="can't be written"):
        TlsFolder(tmp_path / "tls").establish(ALPHA, now=NOW)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(Unavailable, match="can't be written"):
        TlsFolder(tmp_path / "tls").establish(ALPHA, now=NOW)


def test_a_file_that_cannot_be_replaced_is_told_and_leaves_nothing(
    folder: TlsFolder,
) -> None:
    folder.node_certificate.unlink()
    folder.node_certificate.mkdir()
    with pytest.raises((Unavailable, Invalid, IsADirectoryError)):
        folder.establish(ALPHA, now=NOW)
    assert not [each for each in folder.path.iterdir() if each.name.startswith(".")]


# -- signing ---------------------------------------------------------------------


def test_an_authority_signs_for_its_own_kind_alone(folder: TlsFolder) -> None:
    nodes, clients = folder.authority("nodes"), folder.authority("clients")
    assert nodes is not None
    assert clients is not None
    key = certificates.new_key().public_key()

    with pytest.raises(Invalid, match="signs for no nodes"):
        authority.sign_node(clients, key, name="x", hosts=(), now=NOW)
    with pytest.raises(Invalid, match="signs for no clients"):
        authority.sign_client(nodes, key, identity="x", now=NOW)


def test_an_authority_that_is_over_signs_nothing(folder: TlsFolder) -> None:
    nodes = folder.authority("nodes")
    assert nodes is not None
    with pytest.raises(Invalid, match="not valid now"):
        authority.sign_node(
            nodes,
            certificates.new_key().public_key(),
            name="x",
            hosts=(),
            now=NOW + timedelta(days=3651),
        )


@pytest.mark.parametrize("host", ["*", "*.example", "a b", "", "0.0.0.0", "a\nb"])
def test_a_certificate_is_for_no_wildcard_and_no_nonsense(
    folder: TlsFolder, host: str
) -> None:
    nodes = folder.authority("nodes")
    assert nodes is not None
    key = certificates.new_key().public_key()
    with pytest.raises(Invalid):
        authority.sign_node(nodes, key, name="x", hosts=(host,), now=NOW)


@pytest.mark.parametrize("identity", ["", "a b", "a/b", "é", "a" * 130, "-a"])
def test_a_clients_identity_is_plain(folder: TlsFolder, identity: str) -> None:
    clients = folder.authority("clients")
    assert clients is not None
    key = certificates.new_key().public_key()
    with pytest.raises(Invalid, match="identity"):
        authority.sign_client(clients, key, identity=identity, now=NOW)


def test_a_client_is_named_by_a_uri_and_serves_nothing(folder: TlsFolder) -> None:
    clients = folder.authority("clients")
    assert clients is not None
    key = certificates.new_key().public_key()
    made = authority.sign_client(clients, key, identity="agent:ns.a1", now=NOW)

    names = extension(made, x509.SubjectAlternativeName)
    assert isinstance(names, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["nexa:agent:ns.a1"]
    usage = extension(made, x509.ExtendedKeyUsage)
    assert [each.dotted_string for each in usage] == ["1.3.6.1.5.5.7.3.2"]  # type: ignore[attr-defined]  # iterable
    assert clients.signed(made)
    assert certificates.facts(made).names == ()


def _request(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> x509.CertificateSigningRequestBuilder:
    return x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node alpha")])
    )


async def test_nothing_that_a_request_asks_for_is_in_the_certificate(
    tmp_path: Path,
) -> None:
    trust = credentials(tmp_path)
    await trust.establish()
    key = certificates.new_key()
    greedy = (
        _request(key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("alpha.example")]), critical=False
        )
        .sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)

    given = await trust.sign(greedy.decode(), name="beta", hosts=("10.0.0.2",))

    made = certificates.from_pem(given.certificate.encode())[0]
    facts = certificates.facts(made)
    assert facts.subject == "CN=node beta"
    assert set(facts.names) == {"10.0.0.2", "127.0.0.1", "::1", "localhost"}
    assert not facts.is_authority
    assert certificates.public_key(made) == key.public_key()
    assert "PRIVATE" not in repr(given)


async def test_a_request_proves_its_key_and_has_the_one_kind_of_key(
    tmp_path: Path,
) -> None:
    trust = credentials(tmp_path)
    other = ec.generate_private_key(ec.SECP384R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    requests = [
        _request(other).sign(other, hashes.SHA256()),
        _request(edwards).sign(edwards, None),
    ]
    for each in requests:
        pem = each.public_bytes(serialization.Encoding.PEM).decode()
        with pytest.raises(Invalid, match="not EC P-256"):
            await trust.key_of(pem)
    key = certificates.new_key()
    der = bytearray(_request(key).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.DER
    ))  # fmt: skip
    der[-1] ^= 1
    try:
        forged = x509.load_der_x509_csr(bytes(der))
    except ValueError:
        return
    with pytest.raises(Invalid, match=r"not signed by its own key|can't be read"):
        await trust.key_of(forged.public_bytes(serialization.Encoding.PEM).decode())


# -- handing over ----------------------------------------------------------------


async def handed(path: Path, joiner: TlsFolder, **other: str) -> tuple[Admitted, bytes]:
    trust = credentials(path / "alpha")
    pin = await trust.establish()
    given = await trust.sign(joiner.request().decode(), name="beta", hosts=())
    admitted = Admitted(
        cluster="nexa", cluster_id="c1", name="beta", by="alpha", routes=(),
        route_password="", certificate=given.certificate, node_ca=given.node_ca,
        node_ca_key=given.node_ca_key, client_ca=given.client_ca,
        client_ca_key=given.client_ca_key,
    )  # fmt: skip
    return msgspec.structs.replace(admitted, **other), pin


async def test_what_was_handed_over_makes_a_member_that_may_admit(
    tmp_path: Path,
) -> None:
    beta = TlsFolder(tmp_path / "beta/tls")
    admitted, pin = await handed(tmp_path, beta)

    beta.keep(admitted, ca_sha256=pin, now=wall())
    beta.keep(admitted, ca_sha256=pin, now=wall())

    bearer = Bearer("nexa", "beta", ())
    assert not beta.establish(bearer, now=wall())
    alpha = TlsFolder(tmp_path / "alpha/tls")
    for purpose in ("nodes", "clients"):
        theirs, ours = beta.authority(purpose), alpha.authority(purpose)
        assert theirs is not None
        assert ours is not None
        assert theirs.certificate == ours.certificate
        assert theirs.key.private_numbers() == ours.key.private_numbers()


async def test_parts_that_do_not_belong_together_are_not_kept(tmp_path: Path) -> None:
    beta = TlsFolder(tmp_path / "beta/tls")
    admitted, pin = await handed(tmp_path, beta)
    strange, _ = await handed(tmp_path / "x", TlsFolder(tmp_path / "x/beta/tls"))
    for changed, words in (
        ({"certificate": strange.certificate}, "another key than ours"),
        ({"node_ca_key": strange.node_ca_key}, "don't belong together"),
        ({"client_ca": strange.client_ca}, "don't belong together"),
        ({"node_ca": admitted.certificate}, "don't belong together"),
        ({"node_ca": ""}, "can't be read"),
        (
            {"node_ca": strange.node_ca, "node_ca_key": strange.node_ca_key},
            "another cluster",
        ),
    ):
        with pytest.raises(Invalid, match=words):
            beta.keep(
                msgspec.structs.replace(admitted, **changed), ca_sha256=pin, now=wall()
            )
    with pytest.raises(Invalid, match="not valid now"):
        beta.keep(admitted, ca_sha256=pin, now=wall() + timedelta(days=100))

    assert {each.name for each in beta.path.iterdir()} == {"node.key"}


async def test_a_request_that_is_written_again_is_for_the_same_key(
    tmp_path: Path,
) -> None:
    trust = credentials(tmp_path)

    first, second = await trust.request(), await trust.request()

    assert await trust.key_of(first) == await trust.key_of(second)


# -- changing the authority ------------------------------------------------------


def test_an_authority_is_changed_by_overlap(folder: TlsFolder) -> None:
    old = folder.authority("nodes")
    new = folder.successor("nodes", cluster="nexa", now=NOW)

    folder.trust(new)
    folder.trust(new)
    assert old is not None
    assert folder.authorities("nodes") == [old.certificate, new.certificate]
    assert not folder.establish(ALPHA, now=NOW)

    assert folder.promote("nodes", ALPHA, now=NOW)
    assert not folder.promote("nodes", ALPHA, now=NOW)
    assert folder.authorities("nodes") == [new.certificate, old.certificate]
    assert folder.issuer() == new.certificate

    folder.retire("nodes")
    assert folder.authorities("nodes") == [new.certificate]
    assert not folder.establish(ALPHA, now=NOW)


def test_nothing_is_promoted_that_was_not_trusted(folder: TlsFolder) -> None:
    with pytest.raises(Invalid, match="no successor"):
        folder.promote("nodes", ALPHA, now=NOW)


def test_nothing_is_retired_that_is_still_needed(folder: TlsFolder) -> None:
    folder.trust(folder.successor("nodes", cluster="nexa", now=NOW))
    (folder.path / "node-ca-next.key").rename(folder.signing_key("nodes"))

    with pytest.raises(Invalid, match="to be retired"):
        folder.retire("nodes")
    assert folder.promote("nodes", ALPHA, now=NOW)
    folder.retire("nodes")


def test_before_there_is_anything_there_is_nothing(tmp_path: Path) -> None:
    folder = TlsFolder(tmp_path / "tls")
    folder.retire("nodes")

    assert (folder.own(), folder.facts(), folder.issuer()) == (None, None, None)
    assert folder.authorities("nodes") == []


async def test_credentials_tell_what_the_folder_has(tmp_path: Path) -> None:
    trust = credentials(tmp_path)
    with pytest.raises(Unavailable, match="no authority to sign"):
        await trust.sign("", name="x", hosts=())
    assert await trust.renew()
    assert not await trust.renew()
    found = await trust.facts()

    assert found is not None
    assert found.subject == "CN=node alpha"


# -- the record of tokens --------------------------------------------------------


def join_record(token_id: str = "0" * 16, **given: object) -> JoinRecord:
    fields = {
        "id": token_id, "sha256": "00", "node": "alpha", "by": "x", "addresses": (),
        "created": NOW, "expires": NOW,
    }  # fmt: skip
    return JoinRecord(**{**fields, **given})


async def test_of_two_that_use_a_token_one_is_told_that_it_came_late(
    tmp_path: Path,
) -> None:
    records = FileJoinRecords(tmp_path / "tls/join-tokens.json")
    first = await records.put(join_record(), revision=0)
    await records.put(join_record(used_by="beta"), revision=first)

    for late in (first, 0):
        with pytest.raises(Conflict):
            await records.put(join_record(used_by="gamma"), revision=late)
    found = await records.get("0" * 16)
    assert found is not None
    assert found.value.used_by == "beta"


async def test_what_was_used_stays_so_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "join-tokens.json"
    await FileJoinRecords(path).put(join_record(used_by="beta"), revision=0)

    again = FileJoinRecords(path)
    assert [each.used_by for each in await again.all()] == ["beta"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert await again.delete("0" * 16)
    assert not await again.delete("0" * 16)
    assert await again.get("0" * 16) is None


async def test_a_damaged_record_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "join-tokens.json"
    path.write_bytes(b"{")
    path.chmod(0o600)

    with pytest.raises(Invalid, match="damaged") as caught:
        await FileJoinRecords(path).all()
    assert f"rm {path}" in caught.value.remedy
