"""A URL: status, text, credentials, over a real connection."""

import asyncio
import base64
from pathlib import Path

import pytest

from nexa_node.services.health.self_test import Outcome
from tests.node.adapters.probes.servers import PLACE, look, secret, serving


class Site:
    """Answers with one status and body, and keeps what it was asked."""

    def __init__(self, status: str = "200 OK", body: bytes = b"") -> None:
        self.status, self.body = status, body
        self.asked = b""

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked = await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        writer.write(head.encode() + self.body)
        await reader.read()


async def get(site: Site, path: str = "/", **settings: object) -> Outcome:
    async with serving(site) as port:
        return await look("http", f"http://127.0.0.1:{port}{path}", **settings)


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found"])
async def test_a_good_status_passes_and_no_redirect_is_followed(status: str) -> None:
    outcome = await get(Site(status))

    assert (outcome.status, outcome.detail) == ("pass", status)


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "503 Busy"])
async def test_another_status_fails_and_says_what_was_expected(status: str) -> None:
    outcome = await get(Site(status), "/health")

    assert outcome.status == "fail"
    assert outcome.cause == f"it answered {status}, expected 200 to 399"
    assert "curl -i http://127.0.0.1:" in str(outcome.remedy)
    assert PLACE in str(outcome.remedy)


async def test_the_one_expected_status_passes_alone() -> None:
    expected = await get(Site("401 Unauthorized"), expect_status=401)
    other = await get(Site("200 OK"), expect_status=401)

    assert expected.status == "pass"
    assert (other.status, other.cause) == ("fail", "it answered 200 OK, expected 401")


async def test_the_expected_text_is_looked_for_in_the_first_64_kib() -> None:
    early = await get(Site(body=b"x" * 60_000 + b"all is well"), expect_text="is well")
    late = await get(Site(body=b"x" * 70_000 + b"all is well"), expect_text="is well")

    assert early.status == "pass"
    assert late.status == "fail"
    assert late.cause == ("it answered 200 OK, without 'is well' in the first 64 KiB")


async def test_a_body_without_a_declared_end_is_read_to_its_end() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall is well")
        await writer.drain()
        writer.close()

    async with serving(talk) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}", expect_text="is well")

    assert outcome.status == "pass"


async def test_the_request_names_host_path_and_query() -> None:
    site = Site()
    await get(site, "/a b/%C3%A9?q=1&r=x y")

    assert site.asked.startswith(b"GET /a%20b/%C3%A9?q=1&r=x%20y HTTP/1.1\r\n")
    assert b"\r\nHost: 127.0.0.1:" in site.asked
    assert b"\r\nUser-Agent: nexa-selftest\r\n" in site.asked


async def test_no_line_of_the_target_becomes_a_header() -> None:
    site = Site()
    await get(site, "/x HTTP/1.1\r\nX-Evil: 1")

    assert b"X-Evil: 1\r\n" not in site.asked


@pytest.mark.parametrize(
    ("username", "told"),
    [("me", b"Basic " + base64.b64encode(b"me:hunter2")), ("", b"Bearer hunter2")],
)
async def test_a_password_file_gives_basic_or_bearer_credentials(
    username: str, told: bytes, tmp_path: Path
) -> None:
    site = Site()
    path = secret(tmp_path, "hunter2")
    await get(site, username=username, password_file=path)

    assert b"\r\nAuthorization: " + told + b"\r\n" in site.asked


async def test_a_reason_full_of_control_characters_is_made_harmless() -> None:
    outcome = await get(Site("500 bad \x1b[31m"))

    assert outcome.status == "fail"
    assert str(outcome.cause).isprintable()


async def test_a_password_that_no_header_can_hold_is_told_without_it(
    tmp_path: Path,
) -> None:
    path = secret(tmp_path, "hunter2\x00")
    outcome = await get(Site(), password_file=path)

    assert outcome.status == "fail"
    assert "hunter2" not in repr(outcome)
    assert "password_file" in str(outcome.remedy)
