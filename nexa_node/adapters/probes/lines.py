"""A connection that speaks in lines, opened and closed with care."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nexa_node.adapters.probes.asking import Asking
from nexa_node.adapters.probes.mending import closed, of_os_error
from nexa_node.adapters.probes.names import resolve
from nexa_node.adapters.probes.targets import Endpoint

_LINE_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """Both directions of one connection."""

    asking: Asking
    at: Endpoint
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        """Read one line, without its end.

        Raises:
            Unfit: The other side hung up, or its line has no end.
        """
        try:
            return (await self.reader.readuntil(b"\n")).rstrip(b"\r\n")
        except asyncio.IncompleteReadError as error:
            raise closed(self.asking, where=str(self.at)) from error
        except asyncio.LimitOverrunError as error:
            raise of_os_error(
                ValueError("a line without an end"), self.asking, where=str(self.at)
            ) from error

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def encrypt(self, context: ssl.SSLContext) -> None:
        """Go on under TLS, for the host that was asked for.

        Raises:
            ssl.SSLError: The certificate is not what it should be.
        """
        await self.writer.start_tls(context, server_hostname=self.at.host)


@asynccontextmanager
async def line(
    asking: Asking, at: Endpoint, *, context: ssl.SSLContext | None = None
) -> AsyncGenerator[Line]:
    """Connect; on leaving, for whatever reason, nothing stays open.

    Raises:
        Unfit: It does not resolve or does not take the connection.
        ssl.SSLError: The certificate is not what it should be.
    """
    await resolve(asking, at.host)
    try:
        reader, writer = await asyncio.open_connection(
            at.host,
            at.port,
            ssl=context,
            server_hostname=at.host if context else None,
            limit=_LINE_MAX,
        )
    except ssl.SSLError:
        raise
    except OSError as error:
        raise of_os_error(error, asking, where=str(at)) from error
    try:
        yield Line(asking, at, reader, writer)
    finally:
        writer.transport.abort()  # a peer that doesn't read must not delay the end
        with contextlib.suppress(OSError):
            await writer.wait_closed()
