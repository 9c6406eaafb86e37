"""textual-serve with a gate before it and a page of our own: nothing from other hosts."""

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from textual_serve.server import Server

from nexa_tui.web.gate import COOKIE, HEADERS, KEY, Gate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOOPBACK = "127.0.0.1"


class GatedServer(Server):
    """Serves one console for each browser tab."""

    def __init__(
        self, arguments: Sequence[str], *, port: int, say: Callable[[str], None]
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            arguments: Of `nexa console`.
            port: To listen on, on loopback.
            say: Told the address, once it answers.
        """
        command = [sys.executable, "-m", "nexa_tui", "console", *arguments]
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # untyped paths
            shlex.join(command),
            host=LOOPBACK,
            port=port,
            title="nexa",
            templates_path=Path(__file__).parent,
        )
        self.gate = Gate((f"{LOOPBACK}:{port}", f"localhost:{port}"))
        self._say = say

    @property
    def address(self) -> str:
        """Where it is opened, once."""
        return f"{self.public_url}/?{KEY}={self.gate.key}"

    def initialize_logging(self) -> None:
        """Say nothing: what goes wrong is told on the page and by the exit code."""

    async def on_startup(self, app: web.Application) -> None:
        """Tell where it is."""
        del app
        self._say(self.address)

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        why = self.gate.refuses(
            host=request.headers.get("Host", ""), origin=request.headers.get("Origin")
        )
        if why is not None:
            raise web.HTTPForbidden(text=why, headers=HEADERS)
        if self.gate.opens(request.query.get(KEY)):
            found = web.HTTPFound("/", headers=HEADERS)
            found.set_cookie(
                COOKIE, self.gate.cookie, httponly=True, samesite="Strict", path="/"
            )
            raise found
        if not self.gate.knows(request.cookies.get(COOKIE)):
            told = "open the address that nexa web printed; it opens once: run it again"
            raise web.HTTPUnauthorized(text=told, headers=HEADERS)
        request_headers: Mapping[str, str] = request.headers
        answer = await handler(request)
        if request_headers.get("Upgrade", "").lower() != "websocket":
            answer.headers.update(HEADERS)
        return answer


def serve(arguments: Sequence[str], *, port: int, say: Callable[[str], None]) -> None:
    """Serve until a signal ends it."""
    # A loop of its own: whatever loop this thread had may still be somebody's.
    asyncio.set_event_loop(asyncio.new_event_loop())
    server: Any = GatedServer(arguments, port=port, say=say)
    server.serve()
