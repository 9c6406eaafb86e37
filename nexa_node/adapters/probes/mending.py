"""From an operating system's error to its cause and what mends it."""

import errno
import socket
from typing import cast

from nexa_node.adapters.probes.asking import Asking, Unfit
from nexa_node.adapters.probes.text import printable

_START = {
    "postgres": "systemctl start postgresql",
    "redis": "systemctl start redis-server",
    "nats": "systemctl start nats-server",
    "smtp": "systemctl start postfix",
}
"""How Debian's own service is started; others are named by their target alone."""

_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_CUT = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}


def of_os_error(error: BaseException, asking: Asking, *, where: str) -> Unfit:
    """Say why `where` could not be talked to; looks at what caused `error`, too."""
    found = _deepest(error)
    target = asking.correct("target")
    match found:
        case socket.gaierror():
            host = where.rpartition(":")[0] or where
            return Unfit(
                f"the name in {where} does not resolve: {found.strerror}",
                f"getent hosts {host}; {target}",
            )
        case ConnectionRefusedError():
            start = _START.get(asking.spec.kind, "start it")
            return Unfit(
                f"connection refused: nothing listens on {where}",
                f"{start}, or {target}",
            )
        case OSError() if found.errno in _UNREACHABLE:
            return Unfit(
                f"{where} can't be reached: {found.strerror}", f"ip route; or {target}"
            )
        case OSError() if found.errno in _CUT:
            return Unfit(
                f"{where} closed the connection", f"see the log of {where}, or {target}"
            )
        case UnicodeError():
            return Unfit(f"'{printable(where, 60)}' is not a host's name", target)
        case EOFError():
            return closed(asking, where=where)
        case OSError():
            said = found.strerror or str(found) or type(found).__name__
            return Unfit(f"{where}: {said}", target)
        case _:
            return Unfit(f"{where}: {type(found).__name__}: {found}", target)


def closed(asking: Asking, *, where: str) -> Unfit:
    """Say that the other side hung up before it answered."""
    return Unfit(
        f"{where} closed the connection without an answer",
        f"see that {asking.spec.kind} listens there, or {asking.correct('target')}",
    )


def causes(error: BaseException) -> list[BaseException]:
    """List `error`, what it was raised from, and what groups among them hold."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if any(one is other for other in found):
            continue
        found.append(one)
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", one).exceptions)
        waiting.extend(
            inner for inner in (one.__context__, one.__cause__) if inner is not None
        )
    return found


def _deepest(error: BaseException) -> BaseException:
    """Find what the operating system said beneath what libraries made of it."""
    system = (one for one in causes(error) if isinstance(one, OSError) and one.errno)
    return next(system, error)
