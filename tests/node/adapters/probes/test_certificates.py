"""Certificates: trusted and long, or what is wrong with them. Through tls and https."""

import ssl
from pathlib import Path

import pytest

from nexa_node.adapters.probes.asking import Asking
from nexa_node.adapters.probes.certificates import distrusted, why_distrusted
from nexa_node.adapters.probes.targets import Endpoint
from nexa_node.core.policies import CheckSpec
from tests.node.adapters.probes.certificates import Pair, make
from tests.node.adapters.probes.servers import (
    PLACE,
    closed_port,
    look,
    saying,
    serving,
    silent,
)

TARGETS = {"tls": "localhost:{}", "http": "https://localhost:{}/"}
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BOTH = pytest.mark.parametrize("kind", sorted(TARGETS))


async def shown(kind: str, pair: Pair, folder: Path, **settings: object) -> object:
    """Look at a server that shows this certificate."""
    talk = saying(b"", HELLO) if kind == "http" else silent
    async with serving(talk, context=pair.context(folder)) as port:
        return await look(kind, TARGETS[kind].format(port), **settings)


@BOTH
async def test_a_good_certificate_passes_and_tells_its_end(
    kind: str, good: Pair, ca_file: str, tmp_path: Path
) -> None:
    outcome = await shown(kind, good, tmp_path, ca_file=ca_file)

    assert outcome.status == "pass", outcome
    assert f"certificate ends {good.certificate.not_valid_after_utc:%Y-%m-%d}" in (
        outcome.detail
    )
    assert "(89 days), by CN=nexa test authority" in outcome.detail


@BOTH
async def test_one_that_ends_in_five_days_warns(
    kind: str, authority: Pair, ca_file: str, tmp_path: Path
) -> None:
    soon = make(issuer=authority, ends=5.5)
    outcome = await shown(kind, soon, tmp_path, ca_file=ca_file)

    assert outcome.status == "warn"
    assert "the certificate ends in 5 days, on" in outcome.cause
    assert f'lower warn_days in [[check]] name = "it" of {PLACE}' in outcome.remedy


@BOTH
async def test_how_soon_is_a_setting(
    kind: str, authority: Pair, ca_file: str, tmp_path: Path
) -> None:
    soon = make(issuer=authority, ends=5.5)
    outcome = await shown(kind, soon, tmp_path, ca_file=ca_file, warn_days=3)

    assert outcome.status == "pass"


async def test_the_last_days_are_told_in_hours(
    authority: Pair, ca_file: str, tmp_path: Path
) -> None:
    outcome = await shown(
        "tls", make(issuer=authority, ends=0.51), tmp_path, ca_file=ca_file
    )

    assert "the certificate ends in 12 h" in outcome.cause


@BOTH
async def test_an_expired_one_fails_and_tells_since_when(
    kind: str, authority: Pair, ca_file: str, tmp_path: Path
) -> None:
    expired = make(issuer=authority, ends=-3.5)
    outcome = await shown(kind, expired, tmp_path, ca_file=ca_file)

    assert outcome.status == "fail"
    assert "ended 3 days ago, on " in outcome.cause
    assert "openssl s_client -connect localhost:" in outcome.remedy


async def test_one_that_begins_later_fails_and_points_at_the_clock(
    authority: Pair, ca_file: str, tmp_path: Path
) -> None:
    later = make(issuer=authority, begins=2)
    outcome = await shown("tls", later, tmp_path, ca_file=ca_file)

    assert outcome.status == "fail"
    assert f"begins on {later.certificate.not_valid_before_utc:%Y-%m-%d}" in (
        outcome.cause
    )
    assert outcome.remedy.startswith("timedatectl")


@BOTH
async def test_one_for_another_host_fails_and_names_both(
    kind: str, authority: Pair, ca_file: str, tmp_path: Path
) -> None:
    names = ("a.example", "b.example", "c.example", "d.example", "10.0.0.1")
    other = make(issuer=authority, names=names)
    outcome = await shown(kind, other, tmp_path, ca_file=ca_file)

    assert outcome.status == "fail"
    assert outcome.cause == (
        "the certificate is for a.example, b.example, c.example, d.example and 1 more,"
        " not for localhost"
    )
    assert "have one made for localhost" in outcome.remedy


@BOTH
async def test_a_self_signed_one_fails_and_says_how_to_trust_it(
    kind: str, tmp_path: Path
) -> None:
    outcome = await shown(kind, make(), tmp_path)

    assert outcome.status == "fail"
    assert "is self-signed, so nobody vouches for it" in outcome.cause
    assert f'set ca_file to a copy of it in [[check]] name = "it" of {PLACE}' in (
        outcome.remedy
    )


@BOTH
async def test_an_authority_nobody_knows_fails_and_is_named(
    kind: str, good: Pair, tmp_path: Path
) -> None:
    outcome = await shown(kind, good, tmp_path)

    assert outcome.status == "fail"
    assert "is by CN=nexa test authority, whom this system does not trust" in (
        outcome.cause
    )
    assert "set ca_file" in outcome.remedy


async def test_ca_file_is_trusted_instead_of_the_system(
    good: Pair, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make(names=()).pem)
    outcome = await shown("tls", good, tmp_path, ca_file=str(other))

    assert outcome.status == "fail"
    assert f"whom {other} does not trust" in outcome.cause


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"no certificate", "it holds no certificate"), (None, "No such file")],
)
async def test_a_ca_file_that_is_none_is_named(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    outcome = await look("tls", "localhost:1", ca_file=str(path))

    assert outcome.status == "fail"
    assert f"ca_file {path} can't be used: {why}" in str(outcome.cause)
    assert "correct ca_file" in str(outcome.remedy)


async def test_a_server_without_tls_is_told_apart_from_a_bad_certificate() -> None:
    async with serving(saying(b"220 mail.example ESMTP\r\n")) as port:
        outcome = await look("tls", f"localhost:{port}")

    assert outcome.status == "fail"
    assert "does not speak TLS" in str(outcome.cause)


async def test_a_redis_under_tls_trusts_ca_file_alone(good: Pair) -> None:
    from tests.node.adapters.probes import servers

    with servers.redis(good.pem, good.key_pem) as running:
        outcome = await look("redis", f"rediss://{running.at}")

    assert outcome.status == "fail"
    assert "whom this system does not trust" in str(outcome.cause)


class Odd(ssl.SSLCertVerificationError):
    """A verdict of OpenSSL's that nobody prepared for."""

    verify_code = 23
    verify_message = "certificate revoked"


def test_any_other_verdict_is_quoted() -> None:
    asking = Asking(CheckSpec(name="it", kind="tls", target="db:5432"), PLACE, {})
    unfit = why_distrusted(Odd(), asking, Endpoint("db", 5432), None)

    assert unfit.cause == "the certificate of db:5432 is not good: certificate revoked"
    assert "openssl s_client -connect db:5432 -servername db" in unfit.remedy


@pytest.mark.parametrize(
    ("code", "cause"),
    [(10, "the certificate of db:5432 ended"), (9, "begins later"),
     (62, "is for another name, not for db"), (20, "is by an unknown authority")],
)  # fmt: skip
async def test_a_server_that_shows_it_only_once_is_told_all_the_same(
    code: int, cause: str
) -> None:
    error = Odd()
    error.verify_code = code
    asking = Asking(CheckSpec(name="it", kind="tls", target="db:5432"), PLACE, {})
    with closed_port() as port:
        gone = await distrusted(error, asking, Endpoint("127.0.0.1", port))
    named = why_distrusted(error, asking, Endpoint("db", 5432), None)

    assert gone.cause
    assert cause in named.cause


@pytest.mark.parametrize("ca_file", ["~no-such-user-here/ca.pem", "nul\0"])
async def test_a_ca_file_that_is_no_path_is_named(ca_file: str) -> None:
    outcome = await look("tls", "localhost:1", ca_file=ca_file)

    assert outcome.status == "fail"
    assert "can't be used" in str(outcome.cause)
    assert "correct ca_file" in str(outcome.remedy)
