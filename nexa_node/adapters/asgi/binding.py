"""Taking the port, and saying who has it when it is taken."""

import errno
import http.client
import ipaddress
import socket
from dataclasses import dataclass

import msgspec
import psutil

from nexa_node.contract.errors import Conflict, Forbidden, Invalid, NexaError
from nexa_node.contract.rest import Liveness

BACKLOG = 2048
PORT_MAX = 65_535
PROBE_S = 1.0
_SERVICE = Liveness(status="ok").service
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what they mean to a client


def bind(host: str, port: int) -> socket.socket:
    """Take a port: when this returns, it is ours, and connections wait for `serve`.

    Blocks: looks up `host`, and asks whoever holds the port for at most a second. Call
    it before the loop runs, or in a thread.

    Args:
        host: An address or a name of this machine.
        port: 0 takes a free one.

    Raises:
        Conflict: Another program holds the port; says which one.
        Forbidden: The port is reserved for the administrator.
        Invalid: The host is not this machine, or the port is none.
    """
    if not 0 <= port <= PORT_MAX:
        raise Invalid(
            f"{port} is no port: they end at {PORT_MAX}",
            remedy="choose another with --port or [node] port",
        )
    family, address = _resolve(host, port)
    # asyncio sets TCP_NODELAY only where the protocol is named; without it every
    # answer waits 40 ms for the other side's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Connections of a node that just ended may linger; they must not hold the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        # Bound alone is not taken: two sockets may be bound until one of them listens.
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _told(error, host, port) from error
    return sock


def url_of(sock: socket.socket, *, host: str = "", secure: bool = False) -> str:
    """The URL under which this machine reaches a bound socket.

    Args:
        sock: From `bind`.
        host: What was configured; a name is kept, no host means the socket's address.
        secure: It speaks TLS.
    """
    address, port = sock.getsockname()[:2]
    name = host or address
    name = _ANY.get(name, name)
    place = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"https://{place}" if secure else f"http://{place}"


class _Answer(msgspec.Struct):
    """What of /healthz says who it is. Others answer a `status` there, too."""

    service: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port, as far as this process may know."""

    pid: int | None
    program: str | None
    nexa: bool
    """It answers as a nexa node."""


def holder_of(host: str, port: int) -> Holder:
    """Find out who listens on a port of this machine; takes at most a second or two."""
    pid = _listening_pid(port)
    program = None if pid is None else _program(pid)
    return Holder(pid=pid, program=program, nexa=_answers_as_nexa(host, port))


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise Invalid(
            f"can't listen on {host!r} port {port}: {error}",
            remedy="set [node] host to an address of this machine, 127.0.0.1 say",
        ) from error
    # A name may have both: then the older family, which every client can reach.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def _told(error: OSError, host: str, port: int) -> NexaError:
    match error.errno:
        case errno.EADDRINUSE:
            return _taken(host, port)
        case errno.EACCES | errno.EPERM:
            return Forbidden(
                f"port {port} is reserved for the administrator",
                remedy="choose one above 1023 with --port or [node] port",
            )
        case _:
            return Invalid(
                f"can't listen on {host} port {port}: {error.strerror or error}",
                remedy="set [node] host to an address of this machine, 127.0.0.1 say",
            )


def _taken(host: str, port: int) -> Conflict:
    holder = holder_of(host, port)
    by = "" if holder.pid is None else f" (process {holder.pid}"
    if by:
        by += f", {holder.program})" if holder.program else ")"
    details = {"port": port, "pid": holder.pid, "nexa": holder.nexa}
    if holder.nexa:
        return Conflict(
            f"a nexa node already listens on {host} port {port}{by}",
            remedy="nexa node status",
            details=details,
        )
    return Conflict(
        f"another program holds port {port} of {host}{by}",
        remedy="choose another with --port or [node] port",
        details=details,
    )


def _answers_as_nexa(host: str, port: int) -> bool:
    name = _ANY.get(host, host)
    connection = http.client.HTTPConnection(name, port, timeout=PROBE_S)
    try:
        connection.request("GET", "/healthz", headers={"Host": _host_header(name)})
        content = connection.getresponse().read(4096)
        return msgspec.json.decode(content, type=_Answer).service == _SERVICE
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return False
    finally:
        connection.close()


def _host_header(name: str) -> str:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return "localhost"  # a name of ours that the other one may not know
    return f"[{address}]" if address.version == 6 else str(address)


def _listening_pid(port: int) -> int | None:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError, RuntimeError):
        return None
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN:
            continue
        if tuple(connection.laddr)[1:2] == (port,):
            return connection.pid
    return None


def _program(pid: int) -> str | None:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return None
