"""Mail servers: a small one of our own, polite, strict, or in the clear."""

import asyncio
import base64
import ssl
from pathlib import Path

import pytest

from tests.node.adapters.probes.certificates import Pair
from tests.node.adapters.probes.servers import look, saying, secret, serving


class Mail:
    """A mail server that knows one user."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, banner: str = "220 mail"
    ) -> None:
        self.tls, self.banner = tls, banner
        self.encrypted = False
        self.heard: list[bytes] = []

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(f"{self.banner}\r\n".encode())
        while said := (await reader.readline()).strip():
            self.heard.append(said)
            writer.write(self._answer(said) + b"\r\n")
            await writer.drain()
            if said == b"STARTTLS" and self.tls is not None:
                await writer.start_tls(self.tls)
                self.encrypted = True

    def _answer(self, said: bytes) -> bytes:
        verb, _, rest = said.partition(b" ")
        if verb == b"EHLO":
            offers = b"250-STARTTLS\r\n" if self.tls and not self.encrypted else b""
            return b"250-mail greets you\r\n" + offers + b"250-SIZE 1000\r\n250 HELP"
        if verb == b"AUTH":
            right = b"PLAIN " + base64.b64encode(b"\0me\0right-1")
            return b"235 come in" if rest == right else b"535 5.7.8 wrong password"
        return {b"STARTTLS": b"220 go on", b"QUIT": b"221 bye"}.get(verb, b"502 what?")


async def test_a_server_that_offers_starttls_passes(good: Pair, tmp_path: Path) -> None:
    mail = Mail(tls=good.context(tmp_path))
    async with serving(mail) as port:
        outcome = await look("smtp", f"localhost:{port}")

    assert (outcome.status, outcome.detail) == ("pass", "mail, STARTTLS")
    assert [said.split()[0] for said in mail.heard] == [b"EHLO", b"QUIT"]


async def test_a_server_in_the_clear_warns() -> None:
    async with serving(Mail()) as port:
        outcome = await look("smtp", f"localhost:{port}")

    assert outcome.status == "warn"
    assert "offers no STARTTLS" in str(outcome.cause)


async def test_credentials_are_sent_under_tls_only(
    good: Pair, ca_file: str, tmp_path: Path
) -> None:
    mail = Mail(tls=good.context(tmp_path))
    path = secret(tmp_path, "right-1")
    async with serving(mail) as port:
        outcome = await look(
            "smtp", f"localhost:{port}", username="me", password_file=path,
            ca_file=ca_file,
        )  # fmt: skip

    assert outcome.status == "pass", outcome
    assert "logged in as me" in str(outcome.detail)
    assert mail.encrypted


async def test_no_password_is_sent_in_the_clear(tmp_path: Path) -> None:
    mail = Mail()
    path = secret(tmp_path, "right-1")
    async with serving(mail) as port:
        outcome = await look(
            "smtp", f"localhost:{port}", username="me", password_file=path
        )

    assert outcome.status == "fail"
    assert "so the password was not sent" in str(outcome.cause)
    assert [said.split()[0] for said in mail.heard] == [b"EHLO"]


async def test_a_wrong_password_is_refused(
    good: Pair, ca_file: str, tmp_path: Path
) -> None:
    path = secret(tmp_path, "other-1")
    async with serving(Mail(tls=good.context(tmp_path))) as port:
        outcome = await look(
            "smtp", f"localhost:{port}", username="me", password_file=path,
            ca_file=ca_file,
        )  # fmt: skip

    assert outcome.status == "fail"
    assert "refused the credentials: 535 5.7.8 wrong password" in str(outcome.cause)


async def test_a_certificate_nobody_trusts_keeps_the_password_here(
    good: Pair, tmp_path: Path
) -> None:
    mail = Mail(tls=good.context(tmp_path))
    path = secret(tmp_path, "right-1")
    async with serving(mail) as port:
        outcome = await look(
            "smtp", f"localhost:{port}", username="me", password_file=path
        )

    assert outcome.status == "fail"
    assert "does not trust" in str(outcome.cause)
    assert not any(said.startswith(b"AUTH") for said in mail.heard)


@pytest.mark.parametrize(
    "banner",
    ["554 no service here", "421 too busy \x1b[2J", "HTTP/1.1 400 Bad Request"],
)
async def test_a_server_that_does_not_welcome_us_is_quoted(banner: str) -> None:
    async with serving(Mail(banner=banner)) as port:
        outcome = await look("smtp", f"localhost:{port}")

    assert outcome.status == "fail"
    assert f"answered '{banner[:3]}" in str(outcome.cause)
    assert "expected 220" in str(outcome.cause)
    assert str(outcome.cause).isprintable()


async def test_an_endless_greeting_is_given_up() -> None:
    async with serving(saying(b"220-more\r\n" * 1000)) as port:
        spoken = asyncio.ensure_future(look("smtp", f"localhost:{port}"))
        outcome = await spoken

    assert outcome.status == "fail"
