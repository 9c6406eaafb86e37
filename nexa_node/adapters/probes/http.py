"""`http`: a URL answers as it should, and its certificate does not end soon.

Spoken with h11 over a connection of our own: httpx leaves the socket open when it is
cancelled within a TLS handshake, and a server that hangs there is what is looked for.
"""

import base64
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.certificates import (
    described,
    distrusted,
    ends_soon,
    no_tls,
    read,
    trusting,
)
from nexa_node.adapters.probes.lines import Line, line
from nexa_node.adapters.probes.mending import closed
from nexa_node.adapters.probes.targets import Address, address
from nexa_node.adapters.probes.text import decoded, printable

_BODY_MAX = 64 * 1024
_READ = 16 * 1024
_PORTS = {"http": 80, "https": 443}
_GOOD = range(200, 400)
_SAFE = "/%:@!$&'()*+,;=~"


async def look(asking: Asking) -> Look:
    """GET it: no redirect is followed, no proxy used."""
    url = asking.spec.target
    if "://" not in url:
        raise Unfit(f"'{url}' is not a URL", asking.correct("target"))
    scheme = url.partition("://")[0].lower()
    parts = address(
        asking, schemes=("http", "https"), default_port=_PORTS.get(scheme, 80)
    )
    at = parts.endpoint
    context = await trusting(asking) if parts.scheme == "https" else None
    headers = await _headers(asking, parts)
    try:
        async with line(asking, at, context=context) as connection:
            status, text = await _get(connection, _path(url), headers)
            session: ssl.SSLObject | None = connection.writer.get_extra_info(
                "ssl_object"
            )
            shown = session.getpeercert(binary_form=True) if session else None
    except ssl.SSLCertVerificationError as error:
        raise await distrusted(error, asking, at) from error
    except ssl.SSLError as error:
        raise no_tls(error, asking, at) from error
    said = _judged(asking, status, text)
    if not shown:
        return Look(said)
    certificate = read(shown)
    return Look(f"{said}, {described(certificate)}", ends_soon(asking, certificate))


def _path(url: str) -> bytes:
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_SAFE)
    query = quote(parts.query, safe=_SAFE + "?")
    return f"{path}?{query}".encode() if query else path.encode()


async def _headers(asking: Asking, parts: Address) -> list[tuple[bytes, bytes]]:
    """Name ourselves; with a password file, as `username`, or with a bearer token."""
    at = parts.endpoint
    usual = at.port == _PORTS[parts.scheme]
    host = str(at).removesuffix(f":{at.port}") if usual else str(at)
    headers = [
        (b"Host", host.encode("idna")),
        (b"User-Agent", b"nexa-selftest"),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
    ]
    password = await asking.password()
    if password is not None:
        user = asking.spec.username
        pair = base64.b64encode(f"{user}:{password}".encode())
        told = b"Basic " + pair if user else b"Bearer " + password.encode()
        headers.append((b"Authorization", told))
    return headers


async def _get(
    connection: Line, path: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[tuple[int, str], str]:
    """Ask; answers status and reason, and the beginning of the body if it matters."""
    import h11

    talk = h11.Connection(our_role=h11.CLIENT)
    try:
        request = h11.Request(method=b"GET", target=path, headers=headers)
        hello = (talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b"")
        await connection.write(hello)
        status, body = (0, ""), b""
        async for event in _events(talk, connection):
            if isinstance(event, h11.Response):
                status = event.status_code, decoded(event.reason, 40)
                if not connection.asking.spec.expect_text:
                    break
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            if isinstance(event, h11.EndOfMessage) or len(body) >= _BODY_MAX:
                break
    except h11.RemoteProtocolError as error:
        raise _no_http(error, connection) from error
    except h11.LocalProtocolError:
        # Its words quote the header, and with it the password.
        raise Unfit(
            "the target or the password holds characters that no request can",
            connection.asking.correct("target", "password_file"),
        ) from None
    return status, body[:_BODY_MAX].decode(errors="replace")


async def _events(talk: Any, connection: Line) -> AsyncIterator[Any]:
    import h11

    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await connection.reader.read(_READ))
        elif isinstance(event, h11.ConnectionClosed):
            raise closed(connection.asking, where=str(connection.at))
        else:
            yield event


def _no_http(error: Exception, connection: Line) -> Unfit:
    asking, at = connection.asking, connection.at
    if connection.reader.at_eof():
        return closed(asking, where=str(at))
    return Unfit(
        f"{at} does not speak HTTP: {printable(str(error), 100)}",
        asking.correct("target"),
    )


def _judged(asking: Asking, answer: tuple[int, str], text: str) -> str:
    """Say what it answered.

    Raises:
        Unfit: That is not what was expected.
    """
    spec, (code, reason) = asking.spec, answer
    said = f"{code} {reason}".strip()
    if code != spec.expect_status if spec.expect_status else code not in _GOOD:
        raise Unfit(
            f"it answered {said}, expected {spec.expect_status or '200 to 399'}",
            f"curl -i {spec.target}; or {asking.correct('target', 'expect_status')}",
        )
    if spec.expect_text not in text:
        raise Unfit(
            f"it answered {said}, without '{printable(spec.expect_text, 60)}' in the"
            " first 64 KiB",
            f"curl {spec.target}; or {asking.correct('expect_text')}",
        )
    return said
