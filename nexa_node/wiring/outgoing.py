"""Calls to the outside: clients, certificates that are trusted, secrets in files."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nexa_node.adapters.probes.secret import Exposed, read_secret
from nexa_node.contract.errors import Invalid

if TYPE_CHECKING:
    import httpx

Secret = Callable[[], Awaitable[str]]


class Outgoing:
    """Clients, made when they are needed first, closed together."""

    def __init__(self) -> None:
        """None is open."""
        self._open: list[httpx.AsyncClient] = []
        self._ways: list[Callable[[], Awaitable[httpx.AsyncClient]]] = []

    def client(
        self, *, ca_file: str, timeout_s: float, proxies: bool
    ) -> "Callable[[], Awaitable[httpx.AsyncClient]]":
        """A way to one client; certificates are verified always.

        Args:
            ca_file: Trust these instead of the system's.
            timeout_s: For each step of a call.
            proxies: Go through those that the environment names (`HTTPS_PROXY`).
        """
        made: list[httpx.AsyncClient] = []

        async def client() -> "httpx.AsyncClient":
            import httpx

            if not made:
                context = await asyncio.to_thread(trust, ca_file)
                if not made:
                    made.append(
                        httpx.AsyncClient(
                            verify=context, timeout=timeout_s, trust_env=proxies
                        )
                    )
                    self._open.append(made[0])
            return made[0]

        self._ways.append(client)
        return client

    async def run(self) -> None:
        """Make them, wait until the end, then close them. A service's loop.

        Certificates take a while to read, and the first alert is not to wait for them.
        """
        try:
            for way in self._ways:
                with contextlib.suppress(OSError):  # whoever uses it is told why
                    await way()
            await asyncio.Event().wait()
        finally:
            for client in self._open:
                await client.aclose()


@cache
def trust(ca_file: str) -> ssl.SSLContext:
    """What is trusted; blocks."""
    return ssl.create_default_context(cafile=ca_file or None)


def secret(path: str, setting: str) -> Secret:
    """Read a secret from a file of mode 0600, anew each time.

    Args:
        path: The file.
        setting: The key that names it, for messages.
    """

    async def read() -> str:
        try:
            text = await asyncio.to_thread(read_secret, Path(path))
        except Exposed as error:
            raise Invalid(
                f"{setting}: other users may read {path}, so it is not used",
                remedy=f"chmod 600 {path}; and change the secret if others had access",
            ) from error
        except (OSError, ValueError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Invalid(
                f"{setting}: {path} can't be read: {why}",
                remedy=f"correct {setting}; see nexa config validate",
            ) from error
        if not text.strip():
            raise Invalid(f"{setting}: {path} is empty")
        return text.strip()

    return read


def said(text: str) -> Secret:
    """The same for what stands in the settings, since it is no secret."""

    async def read() -> str:
        return text

    return read
