"""`postgres`: a database lets us in and answers a query."""

import ssl
from typing import Any, cast

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.certificates import distrusted, no_tls, trusting
from nexa_node.adapters.probes.mending import closed, of_os_error
from nexa_node.adapters.probes.names import resolve
from nexa_node.adapters.probes.targets import Address, Endpoint, address
from nexa_node.adapters.probes.text import printable

_PORT = 5432
_USER = "postgres"
_BEYOND_S = 3600.0
"""For the driver's own time-outs: the engine's ends the probe long before."""


async def look(asking: Asking) -> Look:
    """Connect, `select 1`, and ask its version.

    Encrypted if the server offers that; its certificate is verified with `ca_file`, or
    with `?sslmode=verify-full` against the system's.
    """
    import asyncpg

    parts = address(asking, schemes=("postgresql", "postgres"), default_port=_PORT)
    at = parts.endpoint
    username = asking.spec.username or parts.username or _USER
    database = asking.spec.database or parts.path or username
    password = await asking.password()
    encryption = await _encryption(asking, parts)
    await resolve(asking, at.host)
    try:
        connection: Any = await cast("Any", asyncpg).connect(
            host=at.host,
            port=at.port,
            user=username,
            database=database,
            # Never from PGPASSWORD or ~/.pgpass: what agents have may differ.
            password=password or "",
            ssl=encryption,
            timeout=_BEYOND_S,
            server_settings={"application_name": "nexa-selftest"},
        )
    except ssl.SSLCertVerificationError as error:
        raise await distrusted(error, asking, at) from error
    except ssl.SSLError as error:
        raise no_tls(error, asking, at) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _refused(error, asking, at, username=username, database=database) from (
            error
        )
    except (OSError, EOFError) as error:
        raise of_os_error(error, asking, where=str(at)) from error
    try:
        return await _asked(connection, username=username, database=database)
    finally:
        connection.terminate()


async def _encryption(asking: Asking, parts: Address) -> ssl.SSLContext | str:
    mode = parts.options.get("sslmode", "prefer")
    if asking.spec.ca_file or mode in {"verify-ca", "verify-full"}:
        return await trusting(asking)
    if mode in {"disable", "allow", "prefer", "require"}:
        return mode
    raise Unfit(
        f"there is no sslmode '{printable(mode, 40)}'", asking.correct("target")
    )


async def _asked(connection: Any, *, username: str, database: str) -> Look:
    await connection.fetchval("select 1")
    version = connection.get_server_version()
    return Look(
        f"PostgreSQL {version.major}.{version.minor}, database {database} as {username}"
    )


def _refused(
    error: Exception, asking: Asking, at: Endpoint, *, username: str, database: str
) -> Unfit:
    import asyncpg

    said = printable(str(error))
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return Unfit(
                f"{at} refused {username}: {said}",
                asking.correct("username", "password_file"),
            )
        case asyncpg.InvalidCatalogNameError():
            return Unfit(
                f"there is no database {database} at {at}",
                f"createdb {database}, or {asking.correct('database')}",
            )
        case asyncpg.CannotConnectNowError():
            return Unfit(f"{at} is not ready: {said}", "wait, then nexa selftest")
        case asyncpg.TooManyConnectionsError():
            return Unfit(
                f"{at} takes no more connections: {said}",
                "close some (select * from pg_stat_activity), or raise max_connections",
            )
        case asyncpg.ConnectionDoesNotExistError():
            return closed(asking, where=str(at))
        case _:
            return Unfit(f"{at}: {said}", asking.correct("target"))
