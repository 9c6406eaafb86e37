"""`nexa web`: the console in a browser, for whoever has the address, once."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from nexa_tui.client.discovery import Target
from tests.system import chromium
from tests.system.conftest import Shell

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Web:
    def __init__(self, address: str) -> None:
        self.address = address
        self.base = address.partition("/?")[0]
        self.host = self.base.removeprefix("http://")

    async def cookie(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(self.address)
        assert answer.status_code == 302
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "SameSite=Strict" in answer.headers["set-cookie"]
        return answer.headers["set-cookie"].partition(";")[0]


@pytest.fixture
async def web(shell: Shell, node: Target) -> AsyncIterator[Web]:
    del node
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "nexa_tui", "web", "--port", str(port)],
        env=shell.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
        yield Web(line.decode().strip())
    finally:
        process.terminate()
        process.communicate(timeout=20)


async def seen(stream: Any, words: bytes) -> bytes:
    told = b""
    async with asyncio.timeout(60):
        while words not in ESCAPES.sub(b"", told):
            part = await stream.recv()
            told += part if isinstance(part, bytes) else part.encode()
    return told


async def test_the_address_opens_once_and_the_console_is_behind_it(web: Web) -> None:
    cookie = await web.cookie()
    async with httpx.AsyncClient(trust_env=False, base_url=web.base) as http:
        assert (await http.get(web.address)).status_code == 401
        assert (await http.get("/")).status_code == 401
        assert (await http.get("/static/js/textual.js")).status_code == 401
        page = await http.get("/", headers={"Cookie": cookie})
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert set(re.findall(r"https?://[^/\"']+", page.text)) == {web.base}

    address = f"ws://{web.host}/ws?width=100&height=30"
    with pytest.raises(InvalidStatus, match="401"):
        async with connect(address):
            pass
    async with connect(address, additional_headers={"Cookie": cookie}) as stream:
        await seen(stream, b"operations console")


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}]
)
async def test_other_hosts_and_other_sites_are_refused(
    web: Web, headers: dict[str, str]
) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(web.address, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert (await web.cookie()).startswith("nexa_web=")  # the key was not used up


@pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine")
async def test_a_browser_shows_it(web: Web, tmp_path: Path) -> None:
    async with chromium.opened(
        chromium.found() or "", tmp_path / "profile", web.address
    ) as page:
        await page.until("document.body.classList.contains('-first-byte')")
        empty = await page.picture()
        async with asyncio.timeout(60):
            while len(picture := await page.picture()) < 1.2 * len(empty):
                await asyncio.sleep(0.2)
        address = await page.evaluate("location.href")
    assert address == f"{web.base}/"  # the key does not stay in the history
    (tmp_path / "web.png").write_bytes(picture)


async def test_a_port_that_is_taken_is_told(shell: Shell, web: Web) -> None:
    refused = shell("web", "--port", web.host.rpartition(":")[2])
    assert refused.code == 1
    assert "can't be had" in refused.err
    assert shell("web", "--port", "0").code == 2
