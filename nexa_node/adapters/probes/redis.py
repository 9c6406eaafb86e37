"""`redis`: a server lets us in and answers PING."""

import contextlib
import ssl
from typing import Any, cast

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.certificates import distrusted, no_tls, trusting
from nexa_node.adapters.probes.mending import causes, closed, of_os_error
from nexa_node.adapters.probes.names import resolve
from nexa_node.adapters.probes.targets import Address, Endpoint, address
from nexa_node.adapters.probes.text import printable

_PORT = 6379
_CREDENTIALS = ("noauth", "wrongpass", "auth", "username", "without any password")


async def look(asking: Asking) -> Look:
    """Connect, log in if there is a password, choose the database, PING."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    parts = address(asking, schemes=("redis", "rediss"), default_port=_PORT)
    at = parts.endpoint
    database = _database(asking, parts)
    pool = await _pool(asking, parts, database=database)
    await resolve(asking, at.host)
    client: Any = Redis(connection_pool=pool)
    try:
        await client.execute_command("PING")
        version = await _version(client)
    except (RedisError, OSError, EOFError) as error:
        raise await _refused(error, asking, at) from error
    finally:
        with contextlib.suppress(RedisError, OSError):
            await pool.disconnect()
    return Look(f"Redis{version}, database {database}, answered PING")


def _database(asking: Asking, parts: Address) -> int:
    told = asking.spec.database or parts.path or "0"
    if not told.isdecimal():
        raise Unfit(
            f"database '{printable(told, 40)}' is not a number",
            asking.correct("database"),
        )
    return int(told)


async def _pool(asking: Asking, parts: Address, *, database: int) -> Any:
    """Describe the one connection: no second try, no pings, no time-outs of its own."""
    from redis.asyncio import Connection, ConnectionPool, SSLConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.maint_notifications import MaintNotificationsConfig

    password = await asking.password()
    encrypted = parts.scheme == "rediss"
    context = await trusting(asking) if encrypted else None

    class Verified(SSLConnection):
        """Trusts `ca_file` alone; the driver would add it to the system's."""

        def __init__(self, **settings: Any) -> None:
            cast("Any", super()).__init__(**settings)
            self.ssl_context.context = context

    return ConnectionPool(
        connection_class=Verified if encrypted else Connection,
        host=parts.endpoint.host,
        port=parts.endpoint.port,
        db=database,
        username=asking.spec.username or parts.username or None,
        password=password,
        protocol=2,
        client_name="nexa-selftest",
        driver_info=None,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )


async def _version(client: Any) -> str:
    """Ask its version; a user who may not is well all the same."""
    from redis.exceptions import ResponseError

    try:
        told = await client.execute_command("INFO", "server")
    except ResponseError:
        return ""
    facts = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    version = facts.get("redis_version")
    return f" {printable(str(version), 20)}" if version else ""


async def _refused(error: Exception, asking: Asking, at: Endpoint) -> Unfit:
    from redis import exceptions

    for found in causes(error):
        if isinstance(found, ssl.SSLCertVerificationError):
            return await distrusted(found, asking, at)
        if isinstance(found, ssl.SSLError):
            return no_tls(found, asking, at)
    said = printable(str(error))
    if isinstance(error, exceptions.BusyLoadingError):
        return Unfit(f"{at} is not ready: {said}", "wait, then nexa selftest")
    if any(word in said.lower() for word in _CREDENTIALS):
        return Unfit(
            f"{at} refused the credentials: {said}",
            asking.correct("username", "password_file"),
        )
    if isinstance(error, exceptions.ResponseError):
        return Unfit(f"{at}: {said}", asking.correct("database"))
    if "closed by server" in said.lower():
        return closed(asking, where=str(at))
    return of_os_error(error, asking, where=str(at))
