"""A node's REST port with answers that a test lays out; a real server on a free port."""

import io
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from nexa_node.contract.errors import NexaError, NotFound, problem
from nexa_tui.commands.dispatch import dispatch
from nexa_tui.commands.output import Call


class Answer:
    """Bytes in pieces; a piece that is None breaks the connection off."""

    def __init__(self, *pieces: bytes | None) -> None:
        self.pieces = pieces


class Port:
    """What is answered at which path, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        """By `GET /v1/node`: a record, an error, an `Answer`, or a list of them that are
        given one after the other, the last one for ever."""
        self.stale = False
        """Whether each answer says that it may be old."""
        self.asked: list[tuple[str, Any]] = []
        """Every call that changes something: method with path and query, and body."""
        self.url = ""
        self.before: Callable[[str], object] = lambda _: None
        """Called with each call before it is answered."""
        self.after: Callable[[str], object] = lambda _: None
        """Called with each call that was answered."""

    def answer(self, line: str) -> Any:
        found = self.answers.get(line, self.answers.get(line.partition("?")[0]))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        if found is None and line.partition("?")[0] not in self.answers:
            return NotFound(f"nothing is laid out at {line}")
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    port: Port

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(f"GET {self.path}")

    def do_POST(self) -> None:
        body = self._body()
        line = f"POST {self.path}"
        self.port.asked.append((line, _decoded(body)))
        self._answer(line)

    def do_DELETE(self) -> None:
        line = f"DELETE {self.path}"
        self.port.asked.append((line, None))
        self._answer(line)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, line: str) -> None:
        self.port.before(line)
        told = self.port.answer(line)
        if isinstance(told, Answer):
            self._stream(told)
        elif isinstance(told, NexaError):
            self._send(told.status, msgspec.json.encode(problem(told)))
        else:
            self._send(200, msgspec.json.encode(told))
        self.port.after(line)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if self.port.stale:
            self.send_header("Nexa-Stale", "true")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, told: Answer) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in told.pieces:
            if piece is None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def port(**answers: Any) -> Generator[Port]:
    """Open a port; it is closed at the end of the block."""
    made = Port()
    handler = type("Handler", (_Handler,), {"port": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    made.answers.update(answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Terminal(io.StringIO):
    """A stream that is one."""

    def isatty(self) -> bool:
        return True


class Said:
    """What a command answered."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return msgspec.json.decode(self.out)


def say(home: Any, url: str, *words: str, terminal: bool = False) -> Said:
    """Run a command against a port."""
    out = io.StringIO()
    err = Terminal() if terminal else io.StringIO()
    environ = {
        "NEXA_HOME": str(home),
        "NEXA_URL": url,
        "NEXA_TOKEN": "t",
        "NO_COLOR": "1",
    }
    code = dispatch(list(words), Call(environ=environ, out=out, err=err))
    return Said(code, out.getvalue(), err.getvalue())


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return body
