"""What the program says while it runs: for people, or one JSON object a line.

Everything from outside is hostile: control characters never reach the terminal.
"""

import logging
import time
from typing import Any, TextIO

import msgspec

from nexa_node.agent.upward import Connected, Disconnected
from nexa_node.contract.errors import NexaError

_REPEAT_S = 30.0
"""The same reason for being away is told again after so long."""


class Narrator:
    """Writes events to standard output, logs and errors to standard error."""

    def __init__(
        self, agent: str, out: TextIO, err: TextIO, *, quiet: bool, as_json: bool
    ) -> None:
        """Speak for the agent with this id; `quiet` leaves nothing but errors."""
        self._agent = agent
        self._out, self._err = out, err
        self._quiet, self._json = quiet, as_json
        self._told: tuple[str, float] = ("", float("-inf"))

    def connection(self, change: Connected | Disconnected) -> None:
        """Tell that a connection came or went."""
        match change:
            case Connected(url, node, session, resumed):
                self._told = ("", float("-inf"))
                back = "again, " if resumed else ""
                self._event(
                    f"{self._agent}: connected {back}to {node} at {url}",
                    event="connected",
                    node=node,
                    url=url,
                    session=session,
                    resumed=resumed,
                )
            case Disconnected(url, reason, retry_in_s):
                self._away(url, reason, retry_in_s)

    def task(
        self, task_id: str, kind: str, outcome: str, seconds: float, error: str = ""
    ) -> None:
        """Tell how a task ended here."""
        why = f": {error}" if error else ""
        self._event(
            f"{task_id} {kind} {outcome} in {seconds:.2f} s{why}",
            event="task",
            id=task_id,
            type=kind,
            outcome=outcome,
            seconds=round(seconds, 3),
            error=error or None,
        )

    def log(self, line: str, *, task: str | None = None) -> None:
        """Write a log line: of the program, for a task, or our own."""
        if self._json:
            self._write(self._err, {"event": "log", "task": task, "line": line})
        else:
            prefix = f"{task}: " if task else ""
            self._line(self._err, f"{prefix}{line}")

    def failure(self, error: NexaError) -> None:
        """Say in one line why it ends, and what mends it."""
        mend = f"; {error.remedy}" if error.remedy else ""
        if self._json:
            told = {"event": "error", "reason": error.reason, "message": error.message}
            self._write(self._err, told | {"remedy": error.remedy})
        else:
            self._line(self._err, f"nexa agent: {error.message}{mend}")

    def _away(self, url: str, reason: str, retry_in_s: float) -> None:
        told, at = self._told
        now = time.monotonic()
        if told == f"{url} {reason}" and now - at < _REPEAT_S:
            return
        self._told = (f"{url} {reason}", now)
        again = f"{retry_in_s:.1f} s"
        self._event(
            f"{self._agent}: no connection to {url}: {reason}; again in {again}",
            event="disconnected",
            url=url,
            reason=reason,
            retry_in_s=round(retry_in_s, 3),
        )

    def _event(self, words: str, **fields: Any) -> None:
        if self._quiet:
            return
        if self._json:
            self._write(self._out, {"agent": self._agent} | fields)
        else:
            self._line(self._out, words)

    def _write(self, stream: TextIO, fields: dict[str, Any]) -> None:
        present = {key: value for key, value in fields.items() if value is not None}
        self._put(stream, msgspec.json.encode(present).decode())

    def _line(self, stream: TextIO, words: str) -> None:
        self._put(stream, printable(words))

    @staticmethod
    def _put(stream: TextIO, line: str) -> None:
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):
            return  # nobody reads it any more; the agent goes on


class LogLines(logging.Handler):
    """Brings the library's log to a narrator, without tracebacks."""

    def __init__(self, narrator: Narrator) -> None:
        """Write warnings and worse to `narrator`."""
        super().__init__(logging.WARNING)
        self._narrator = narrator

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            line = f"{line}: {record.exc_info[1]!r}"
        self._narrator.log(line)


def printable(text: str) -> str:
    """Replace everything that could move a cursor or change a colour."""
    return "".join(
        letter if letter.isprintable() else " " if letter == "\t" else "�"
        for letter in text
    )
