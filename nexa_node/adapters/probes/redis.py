"""`redis`: a server lets us in and answers PING."""

import ssl
from typing import TYPE_CHECKING, Any, cast

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.certificates import distrusted, no_tls, trusting
from nexa_node.adapters.probes.mending import closed, of_os_error
from nexa_node.adapters.probes.names import resolve
from nexa_node.adapters.probes.targets import Address, Endpoint, address
from nexa_node.adapters.probes.text import printable

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PORT = 6379
_CREDENTIALS = ("NOAUTH", "WRONGPASS", "AUTH ", "INVALID USERNAME", "INVALID PASSWORD")


async def look(asking: Asking) -> Look:
    """Connect, log in if there is a password, choose the database, PING."""
    from redis.exceptions import RedisError

    parts = address(asking, schemes=("redis", "rediss"), default_port=_PORT)
    at = parts.endpoint
    password = await asking.password()
    await resolve(asking, at.host)
    client = _client(asking, parts, password)
    if parts.scheme == "rediss":
        # The driver reads `ca_file` itself; this only says what is wrong with it.
        await trusting(asking)
    try:
        await cast("Any", client.ping())
        return await _described(client, database=_database(asking, parts))
    except (RedisError, OSError, EOFError) as error:
        raise await _refused(error, asking, at) from error
    finally:
        await _close(client)
