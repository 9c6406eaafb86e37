"""Receivers of notifications, as real servers on loopback: HTTP and SMTP."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import msgspec

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class HttpSink:
    """Keeps what it is asked, and answers what it is told to."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer | Callable[[Asked], Answer]] = field(default_factory=list)
    default: Answer = (200, {}, b"ok")
    hang: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> list[Asked]:
        """Wait until it was asked so often."""
        async with asyncio.timeout(20):
            while len(self.asked) < count:
                self.news.clear()
                await self.news.wait()
        return self.asked

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {
            name.lower(): text.strip()
            for name, _, text in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, path, headers, body)
        self.asked.append(asked)
        self.news.set()
        if self.hang:
            await reader.read()
            return False
        answer = self.answers.pop(0) if self.answers else self.default
        status, more, content = answer(asked) if callable(answer) else answer
        lines = [f"HTTP/1.1 {status} .", f"content-length: {len(content)}"]
        lines += [f"{name}: {text}" for name, text in more.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await writer.drain()
        return True


@asynccontextmanager
async def http_sink(context: ssl.SSLContext | None = None) -> AsyncIterator[HttpSink]:
    sink = HttpSink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    sink.url = f"{'https' if context else 'http'}://{'localhost' if context else '127.0.0.1'}:{port}"
    try:
        yield sink
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class MailSink:
    """Takes mail, as RFC 5321 says; refuses what it is told to."""

    port: int = 0
    context: ssl.SSLContext | None = None
    password: str = ""
    refused: frozenset[str] = frozenset()
    code: bytes = b"250 taken"
    """To the data."""
    mails: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    encrypted: bool = False
    user: str = ""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"220 sink\r\n")
        sender, to = "", list[str]()
        while line := (await reader.readline()).decode().strip():
            word = line.split(" ")[0].upper()
            answer = b"250 ok"
            if word == "EHLO":
                offers = [b"250-sink", b"250-SMTPUTF8", b"250-8BITMIME"]
                offers += (
                    [b"250-STARTTLS"] if self.context and not self.encrypted else []
                )
                offers += [b"250-AUTH PLAIN"] if self.password else []
                answer = b"\r\n".join([*offers, b"250 SIZE 1000000"])
            elif word == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.drain()
                await writer.start_tls(cast("ssl.SSLContext", self.context))
                self.encrypted = True
                continue
            elif word == "AUTH":
                _, user, password = (
                    base64.b64decode(line.split(" ")[2]).decode().split("\0")
                )
                self.user = user
                answer = (
                    b"235 in"
                    if password == self.password
                    else b"535 no: " + password.encode()
                )
            elif word == "MAIL":
                sender = line[len("MAIL FROM:<") :].partition(">")[0]
            elif word == "RCPT":
                address = line[len("RCPT TO:<") :].partition(">")[0]
                answer = b"550 unknown" if address in self.refused else b"250 ok"
                to += [] if address in self.refused else [address]
            elif word == "DATA":
                writer.write(b"354 go\r\n")
                raw = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                message = message_from_bytes(
                    raw.replace(b"\r\n..", b"\r\n."), policy=policy.default
                )
                if self.code.startswith(b"2"):
                    self.mails.append((sender, to, cast("EmailMessage", message)))
                answer = self.code
            elif word == "QUIT":
                writer.write(b"221 bye\r\n")
                return
            writer.write(answer + b"\r\n")


@asynccontextmanager
async def mail_sink(*, tls: bool = False, **more: Any) -> AsyncIterator[MailSink]:
    sink = MailSink(**more)
    server = await asyncio.start_server(
        sink.serve, "127.0.0.1", 0, ssl=sink.context if tls else None
    )
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        await server.wait_closed()
