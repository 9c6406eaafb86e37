"""`smtp`: a mail server greets, offers encryption, and takes our credentials if any."""

import base64
import ssl

from nexa_node.adapters.probes.asking import Asking, Look, Unfit, Warned
from nexa_node.adapters.probes.certificates import distrusted, no_tls, trusting
from nexa_node.adapters.probes.lines import Line, line
from nexa_node.adapters.probes.targets import Endpoint, endpoint
from nexa_node.adapters.probes.text import decoded

_PORT = 25
_PORT_OF_TLS = 465
_REPLY_LINES = 100
_CODE = 3
_READY, _OK, _LET_IN = b"220", b"250", b"235"


async def look(asking: Asking) -> Look:
    """Read the banner, say EHLO, and log in under TLS if there is a password."""
    at = endpoint(asking, default_port=_PORT)
    password = await asking.password()
    try:
        return await _talk(asking, at, password)
    except ssl.SSLCertVerificationError as error:
        raise await distrusted(error, asking, at) from error
    except ssl.SSLError as error:
        raise no_tls(error, asking, at) from error


async def _talk(asking: Asking, at: Endpoint, password: str | None) -> Look:
    encrypted = at.port == _PORT_OF_TLS
    context = await trusting(asking) if encrypted or password is not None else None
    async with line(asking, at, context=context if encrypted else None) as connection:
        banner = (await _expect(connection, _READY))[0]
        offers = await _hello(connection)
        offered = encrypted or b"STARTTLS" in offers
        if password is not None and context is not None:
            if not offered:
                raise Unfit(
                    f"{at} offers no STARTTLS, so the password was not sent",
                    "enable TLS on that server, or remove password_file"
                    f" {asking.entry}",
                )
            if not encrypted:
                await connection.write(b"STARTTLS\r\n")
                await _expect(connection, _READY)
                await connection.encrypt(context)
                offers = await _hello(connection)
            await _log_in(connection, asking.spec.username, password)
        await connection.write(b"QUIT\r\n")
    tls = "TLS" if encrypted else "STARTTLS"
    in_as = f", logged in as {asking.spec.username}" if password is not None else ""
    detail = f"{decoded(banner, 80)}, {tls if offered else 'no STARTTLS'}{in_as}"
    return Look(detail, None if offered else _in_the_clear(asking, at))


async def _hello(connection: Line) -> set[bytes]:
    """Say EHLO; what is offered, in capitals."""
    await connection.write(b"EHLO [127.0.0.1]\r\n")
    said = await _expect(connection, _OK)
    return {words.split(b" ")[0].upper() for words in said[1:]}


async def _expect(connection: Line, code: bytes) -> list[bytes]:
    """Read one reply of any number of lines.

    Raises:
        Unfit: It has another code.
    """
    at, lines = connection.at, list[bytes]()
    while len(lines) < _REPLY_LINES:
        said = await connection.read()
        lines.append(said[_CODE + 1 :])
        if said[:_CODE] != code:
            raise Unfit(
                f"{at} answered '{decoded(said, 100)}', expected {code.decode()}",
                f"see the log of that mail server, or {connection.asking.correct('target')}",
            )
        if said[_CODE : _CODE + 1] != b"-":
            break
    return lines


async def _log_in(connection: Line, username: str, password: str) -> None:
    pair = base64.b64encode(f"\0{username}\0{password}".encode())
    await connection.write(b"AUTH PLAIN " + pair + b"\r\n")
    said = await connection.read()
    if said[:_CODE] != _LET_IN:
        raise Unfit(
            f"{connection.at} refused the credentials: {decoded(said, 100)}",
            connection.asking.correct("username", "password_file"),
        )


def _in_the_clear(asking: Asking, at: Endpoint) -> Warned:
    return Warned(
        f"{at} offers no STARTTLS: mail to it can be read on the way",
        f"enable TLS on that server, or {asking.correct('target')}",
    )
