"""NATS: the bundled server, open, with users, with a token, under TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexa_node.adapters.nats.binary import trusted_binary
from nexa_node.core.policies import StorePolicy
from tests.node.adapters.probes import servers
from tests.node.adapters.probes.certificates import Pair
from tests.node.adapters.probes.servers import Running, look, saying, secret, serving


@pytest.fixture
async def binary() -> str:
    return str((await trusted_binary(StorePolicy())).path)


@pytest.fixture
def guarded(binary: str) -> Iterator[Running]:
    with servers.nats(binary, "--user", "app", "--pass", "right-1") as running:
        yield running


async def test_an_open_server_is_connected_to(binary: str) -> None:
    with servers.nats(binary) as running:
        outcome = await look("nats", f"nats://{running.at}")

    assert outcome.status == "pass", outcome
    assert str(outcome.detail).startswith("nats-server 2.")


async def test_credentials_are_tried(guarded: Running, tmp_path: Path) -> None:
    path = secret(tmp_path, guarded.password)
    outcome = await look("nats", guarded.at, username="app", password_file=path)

    assert outcome.status == "pass", outcome
    assert "connected as app" in str(outcome.detail)


async def test_wrong_credentials_fail(guarded: Running, tmp_path: Path) -> None:
    path = secret(tmp_path, "wrong")
    outcome = await look("nats", f"nats://app@{guarded.at}", password_file=path)

    assert outcome.status == "fail"
    assert "refused the credentials: Authorization Violation" in str(outcome.cause)
    assert "correct username and password_file" in str(outcome.remedy)


async def test_without_credentials_the_greeting_is_enough_and_that_is_said(
    guarded: Running,
) -> None:
    outcome = await look("nats", guarded.at)

    assert outcome.status == "pass"
    assert "only the greeting was looked at" in str(outcome.detail)


async def test_a_password_without_a_user_is_a_token(
    binary: str, tmp_path: Path
) -> None:
    path = secret(tmp_path, "right-1")
    with servers.nats(binary, "--auth", "right-1") as running:
        outcome = await look("nats", running.at, password_file=path)

    assert outcome.status == "pass", outcome
    assert "connected as a token" in str(outcome.detail)


async def test_under_tls_the_certificate_is_verified(
    binary: str, good: Pair, ca_file: str, tmp_path: Path
) -> None:
    certificate, key = good.write(tmp_path)
    tls = ("--tls", "--tlscert", certificate, "--tlskey", key)
    with servers.nats(binary, *tls) as running:
        trusted = await look("nats", f"tls://{running.at}", ca_file=ca_file)
        unknown = await look("nats", f"tls://{running.at}")

    assert trusted.status == "pass", trusted
    assert unknown.status == "fail"
    assert "certificate" in str(unknown.cause)


async def test_something_else_than_nats_is_named_by_its_greeting() -> None:
    async with serving(saying(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        outcome = await look("nats", f"127.0.0.1:{port}")

    assert outcome.status == "fail"
    assert "is not a NATS server: it greets with 'SSH-2.0-OpenSSH_9.2'" in (
        str(outcome.cause)
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"INFO {nonsense}\r\n", "is not a NATS server"),
        (b"INFO {}\r\n+OK\r\n-ERR 'maximum connections exceeded'\r\n",
         "refused the connection: maximum connections exceeded"),
    ],
)  # fmt: skip
async def test_a_server_that_will_not_have_us_is_quoted(said: bytes, why: str) -> None:
    async with serving(saying(said)) as port:
        outcome = await look("nats", f"127.0.0.1:{port}")

    assert outcome.status == "fail"
    assert why in str(outcome.cause)
