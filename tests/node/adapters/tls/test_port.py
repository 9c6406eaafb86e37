"""What the port shows: the cluster's certificate or one's own, from files that change."""

from datetime import timedelta
from pathlib import Path

import pytest

from nexa_node.adapters.host.addresses import addresses
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.adapters.tls.port import PortTls, files_of
from nexa_node.contract.errors import Invalid
from tests.certificates import BEARER, folder_at, port_of, write_node_pair
from tests.joining import wall


@pytest.fixture
def folder(tmp_path: Path) -> TlsFolder:
    return folder_at(tmp_path / "tls")


def own(folder: TlsFolder, path: Path) -> tuple[Path, Path]:
    signing = folder.authority("nodes")
    assert signing is not None
    pem, key, _ = write_node_pair(path, signing, hosts=("nexa.example",))
    return pem, key


def port_with(folder: TlsFolder, pem: Path, key: Path) -> PortTls:
    return PortTls(files_of(folder, certificate=str(pem), key=str(key)))


def test_the_clusters_certificate_is_shown_and_its_authority_trusted(
    folder: TlsFolder,
) -> None:
    port = port_of(folder)

    assert port.shown.subject == "CN=node alpha"
    assert not port.shown.is_own
    assert port.files.trusted == folder.trusted("nodes")
    assert port.check_context().check_hostname


def test_one_of_ones_own_is_shown_and_trusted_itself(
    folder: TlsFolder, tmp_path: Path
) -> None:
    pem, key = own(folder, tmp_path / "own")
    port = PortTls(
        files_of(
            folder,
            certificate=str(pem),
            key=str(key),
            clients=str(folder.trusted("nodes")),
        )
    )

    assert port.shown.is_own
    assert "nexa.example" in port.shown.names
    assert (port.files.trusted, port.files.clients) == (pem, folder.trusted("nodes"))
    assert not port.check_context().check_hostname


def test_a_link_is_followed_as_some_programs_renew(
    folder: TlsFolder, tmp_path: Path
) -> None:
    pem, key = own(folder, tmp_path / "own")
    links = tmp_path / "live.pem", tmp_path / "live.key"
    links[0].symlink_to(pem)
    links[1].symlink_to(key)
    port = port_with(folder, *links)
    first = port.shown.life

    signing = folder.authority("nodes")
    assert signing is not None
    newer, newer_key, _ = write_node_pair(
        tmp_path / "newer", signing, length=timedelta(days=2)
    )
    for link, target in zip(links, (newer, newer_key), strict=True):
        link.unlink()
        link.symlink_to(target)

    assert port.look()
    assert port.shown.life.ends > first.ends
    assert not port.look()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("no certificate", "own.pem can't be read: No such file"),
        ("no key", "the key {}/own.key can't be read"),
        ("open key", "the key {}/own.key can be read by other users"),
        ("not pem", "own.pem holds no certificate in PEM"),
        ("other key", "can't be used for TLS: key values mismatch"),
    ],
)
def test_files_that_can_not_be_used_are_named_with_a_remedy(
    folder: TlsFolder, tmp_path: Path, harm: str, says: str
) -> None:
    pem, key = own(folder, tmp_path / "own")
    _, other = own(folder, tmp_path / "other")
    match harm:
        case "no certificate":
            pem.unlink()
        case "no key":
            key.unlink()
        case "open key":
            key.chmod(0o640)
        case "not pem":
            pem.write_text("nonsense")
        case _:
            other.replace(key)

    with pytest.raises(Invalid) as refused:
        port_with(folder, pem, key)

    assert says.format(tmp_path) in refused.value.message
    assert refused.value.remedy is not None


def test_a_file_that_goes_away_is_told_and_what_was_there_is_shown_on(
    folder: TlsFolder, tmp_path: Path
) -> None:
    pem, key = own(folder, tmp_path / "own")
    port = port_with(folder, pem, key)
    before = port.context()
    pem.unlink()

    with pytest.raises(Invalid, match="can't be read"):
        port.look()
    assert port.context() is before


def test_the_old_authority_of_clients_is_trusted_until_the_next_change(
    folder: TlsFolder,
) -> None:
    first = folder.authorities("clients")[0]
    for turn in range(2):
        made = folder.successor("clients", cluster="nexa", now=wall())
        folder.trust(made)

        folder.promote("clients", BEARER, now=wall())
        folder.retire("clients", keep=1)
        held = folder.authorities("clients")
        assert (held[0], len(held)) == (made.certificate, 2)
        assert (first in held) is (turn == 0)


def test_this_machine_has_an_address_and_none_of_one_link_only() -> None:
    found = addresses()

    assert "127.0.0.1" in found
    assert not any("%" in one for one in found)
