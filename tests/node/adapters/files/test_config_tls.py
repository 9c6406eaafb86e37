"""`[tls]`: nothing goes in clear over a network unless that is asked for by name."""

from pathlib import Path

import pytest

from nexa_node.adapters.files.config import ConfigInvalid, load_settings
from nexa_node.core.encryption import is_encrypted, is_loopback
from nexa_node.core.policies import TlsPolicy

OUTSIDE = 'node.host = "192.0.2.7"\n'


def load(tmp_path: Path, text: str) -> TlsPolicy:
    path = tmp_path / "nexa.toml"
    path.write_text(text)
    return load_settings(path, environ={}).settings.tls


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (
            OUTSIDE + '[tls]\nmode = "off"',
            3,
            "mode: the port would listen on 192.0.2.7",
        ),
        ('[tls]\ncert_file = "a.pem"', 2, "cert_file: a certificate of your own needs"),
        (
            '[tls]\ncert_file = "a"\nkey_file = "b"',
            2,
            'cert_file: the port is plain on 127.0.0.1 (mode = "auto")',
        ),
        ('[tls]\nclient_ca_file = "a"', 2, "client_ca_file: the port is plain"),
    ],
)
def test_what_would_be_plain_by_mistake_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        load(tmp_path, text)

    where = f"{tmp_path / 'nexa.toml'}:{line}: tls."
    assert refused.value.message.startswith(where + says)
    assert refused.value.remedy is not None


def test_the_refusal_names_all_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="without TLS") as refused:
        load(tmp_path, OUTSIDE + '[tls]\nmode = "off"')

    told = refused.value.message
    assert all(way in told for way in ('mode = "auto"', "cert_file", "allow_plaintext"))


@pytest.mark.parametrize(
    "text",
    [
        OUTSIDE,
        OUTSIDE + '[tls]\nmode = "off"\nallow_plaintext = true',
        OUTSIDE + '[tls]\ncert_file = "a"\nkey_file = "b"\nclient_ca_file = "c"',
        '[tls]\nmode = "on"\ncert_file = "a"\nkey_file = "b"',
        '[tls]\nmode = "off"',
    ],
)
def test_what_was_meant_is_taken(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).min_version == "1.3"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("LocalHost", True),
        ("localhost.example", False),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.0.2.7", False),
    ],
)
def test_only_loopback_is_plain_by_itself(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    assert is_encrypted(TlsPolicy(), host) is not local
    assert is_encrypted(TlsPolicy(mode="on"), host)
    assert not is_encrypted(TlsPolicy(mode="off"), host)
