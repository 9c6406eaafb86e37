"""`nats`: a NATS server greets, and takes our credentials if there are any."""

import ssl

import msgspec

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.certificates import distrusted, no_tls, trusting
from nexa_node.adapters.probes.lines import Line, line
from nexa_node.adapters.probes.targets import Endpoint, address
from nexa_node.adapters.probes.text import decoded, printable

_PORT = 4222


class _Info(msgspec.Struct):
    version: str = "of no version"
    server_name: str = ""
    auth_required: bool = False
    tls_required: bool = False
    tls_available: bool = False
    jetstream: bool = False


class _Connect(msgspec.Struct, omit_defaults=True):
    verbose: bool
    pedantic: bool
    tls_required: bool
    name: str
    lang: str
    version: str
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    auth_token: str = ""


async def look(asking: Asking) -> Look:
    """Read INFO; connect, PING and hear PONG unless it wants credentials we lack."""
    parts = address(asking, schemes=("nats", "tls"), default_port=_PORT)
    at = parts.endpoint
    password = await asking.password()
    username = asking.spec.username or parts.username
    try:
        async with line(asking, at) as connection:
            info = _info(await connection.read(), asking, at)
            encrypted = info.tls_required or parts.scheme == "tls"
            if encrypted:
                await connection.encrypt(await trusting(asking))
            if info.auth_required and password is None:
                return Look(
                    f"{_described(info)}, wants credentials: none are configured, so"
                    " only the greeting was looked at"
                )
            await _connect(connection, username, password, encrypted=encrypted)
    except ssl.SSLCertVerificationError as error:
        raise await distrusted(error, asking, at) from error
    except ssl.SSLError as error:
        raise no_tls(error, asking, at) from error
    who = f", connected as {username or 'a token'}" if password is not None else ""
    return Look(f"{_described(info)}{who}")


def _info(said: bytes, asking: Asking, at: Endpoint) -> _Info:
    verb, _, rest = said.partition(b" ")
    try:
        if verb.upper() == b"INFO":
            return msgspec.json.decode(rest, type=_Info)
    except msgspec.DecodeError:
        pass
    raise Unfit(
        f"{at} is not a NATS server: it greets with '{decoded(said, 60)}'",
        asking.correct("target"),
    )


def _described(info: _Info) -> str:
    name = printable(info.server_name, 40)
    streams = ", JetStream" if info.jetstream else ""
    return f"nats-server {printable(info.version, 20)} {name}{streams}"


async def _connect(
    connection: Line, username: str, password: str | None, *, encrypted: bool
) -> None:
    secret = password or ""
    told = _Connect(
        verbose=False,
        pedantic=False,
        tls_required=encrypted,
        name="nexa-selftest",
        lang="python",
        version="1",
        user=username,
        password=secret if username else "",
        auth_token="" if username else secret,
    )
    hello = b"CONNECT " + msgspec.json.encode(told) + b"\r\nPING\r\n"
    await connection.write(hello)
    while True:
        said = await connection.read()
        if said.startswith(b"PONG"):
            return
        if said.startswith(b"-ERR"):
            raise _refused(said, connection.asking, connection.at)


def _refused(said: bytes, asking: Asking, at: Endpoint) -> Unfit:
    why = decoded(said, 100).removeprefix("-ERR").strip(" '")
    if "authorization" in why.lower():
        return Unfit(
            f"{at} refused the credentials: {why}",
            asking.correct("username", "password_file"),
        )
    return Unfit(f"{at} refused the connection: {why}", "see the log of nats-server")
