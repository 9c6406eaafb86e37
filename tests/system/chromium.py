"""Headless Chromium, driven over its own debugging protocol."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
from websockets.asyncio.client import ClientConnection, connect

PATIENCE_S = 60.0


def found() -> str | None:
    """The program, if this machine has one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(said))
        while True:
            told = cast("dict[str, Any]", json.loads(await self._socket.recv()))
            if told.get("id") == number:
                return cast("dict[str, Any]", told.get("result", {}))

    async def evaluate(self, script: str) -> Any:
        told = await self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        return told.get("result", {}).get("value")  # none while it is being loaded

    async def until(self, script: str) -> None:
        """Wait until the page says that something is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self.evaluate(script):
                await asyncio.sleep(0.1)

    async def picture(self) -> bytes:
        """A PNG of it."""
        told = await self.ask("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])

    async def press(self, text: str) -> None:
        """Press a key that prints something."""
        await self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, key=text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=text)


@asynccontextmanager
async def opened(program: str, folder: Path, url: str) -> AsyncGenerator[Page]:
    """A browser with a fresh profile on one page."""
    process = subprocess.Popen(
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--window-size=1280,800",
            f"--user-data-dir={folder}",
            "--remote-debugging-port=0",
            url,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with httpx.AsyncClient(trust_env=False) as http:
            tabs = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
        page = next(one for one in tabs if one["type"] == "page")
        async with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(20)


async def _port(path: Path) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while not (path.exists() and path.read_text().strip()):
            await asyncio.sleep(0.05)
    return int(path.read_text().split()[0])
