"""`nexa cert` where something is missing: each error names what, and what mends it."""

import io
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from nexa_node.contract.errors import Invalid, NotFound
from nexa_tui.client import keys
from nexa_tui.commands.dispatch import dispatch
from nexa_tui.commands.output import Call
from tests.certificates import folder_at, write_node_pair, write_pair


def say(home: Path, *words: str, **environ: str) -> tuple[int, str]:
    err = io.StringIO()
    call = Call(environ={"NEXA_HOME": str(home), **environ}, out=io.StringIO(), err=err)
    return dispatch(list(words), call), err.getvalue()


def test_where_no_tls_is_spoken_there_is_no_authority_to_print(tmp_path: Path) -> None:
    code, told = say(tmp_path, "cert", "ca", "--attach", "http://127.0.0.1:1")

    assert (code, "speaks no TLS" in told, "tls" in told) == (1, True, True)


def test_one_that_the_system_trusts_is_not_here_to_print(tmp_path: Path) -> None:
    code, told = say(tmp_path, "cert", "ca", "--attach", "https://127.0.0.1:1")

    assert code == 5
    assert "this system's own authorities" in told


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none.pem")
    renewed = say(tmp_path, "cert", "renew", nowhere, "--attach", "https://127.0.0.1:1")
    added = say(tmp_path, "cert", "add", nowhere, "--role", "viewer", "--attach", "x:1")
    trusted = say(
        tmp_path, "cert", "ca", "--attach", "https://127.0.0.1:1", NEXA_CA_FILE=nowhere
    )

    for code, told in (renewed, added, trusted):
        assert (code, f"there is no file {nowhere}" in told) == (5, True)


def test_an_authority_that_is_named_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN…".replace("…", ""))
    code, _ = say(
        tmp_path,
        "cert",
        "ca",
        "--attach",
        "https://127.0.0.1:1",
        NEXA_CA_FILE=str(path),
    )

    assert code == 0


def test_only_a_clusters_certificate_names_its_holder(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "tls")
    clients, nodes = folder.authority("clients"), folder.authority("nodes")
    assert clients is not None
    assert nodes is not None
    client, _, _ = write_pair(tmp_path / "one", clients, identity="token:abc")
    foreign, _, _ = write_pair(tmp_path / "two", clients, identity="somebody")
    node, _, _ = write_node_pair(tmp_path / "three", nodes)
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")

    assert keys.holder_of(client) == "abc"
    for path in (foreign, node):
        with pytest.raises(Invalid, match="was not signed by a cluster"):
            keys.holder_of(path)
    with pytest.raises(Invalid, match="holds no client's certificate"):
        keys.holder_of(broken)
    with pytest.raises(NotFound):
        keys.holder_of(tmp_path / "nothing")


def test_a_key_of_another_kind_is_refused_and_nothing_of_it_is_quoted() -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    with pytest.raises(Invalid, match="not EC P-256"):
        keys.request_for(other)
    with pytest.raises(Invalid, match="no private key"):
        keys.request_for(b"canary")


def test_files_are_for_their_owner_and_a_place_that_is_none_is_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.key"
    keys.write_secret(path, keys.make_key())

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Invalid, match="can't be written"):
        keys.write_secret(tmp_path / "no" / "folder.key", b"")
