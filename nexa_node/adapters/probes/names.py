"""Names resolved on a thread that may be left behind.

The event loop's own threads are waited for at the end of a program, so a resolver that
hangs would hold up ctrl-C; a daemon thread is not.
"""

import asyncio
import contextlib
import socket
import threading

from nexa_node.adapters.probes.asking import Asking
from nexa_node.adapters.probes.mending import of_os_error


async def resolve(asking: Asking, host: str) -> tuple[str, ...]:
    """Find the addresses of `host`, each once, in the resolver's order.

    Raises:
        Unfit: There are none.
    """
    try:
        return await _ask(host)
    except (OSError, UnicodeError) as error:
        raise of_os_error(error, asking, where=host) from error


async def _ask(host: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def tell(found: tuple[str, ...] | BaseException) -> None:
        if answer.done():
            return
        if isinstance(found, tuple):
            answer.set_result(found)
        else:
            answer.set_exception(found)

    def work() -> None:
        found = _look_up(host)
        with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=work, name="resolve", daemon=True).start()
    return await answer


def _look_up(host: str) -> tuple[str, ...] | BaseException:
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return error
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))
