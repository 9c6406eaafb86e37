"""The node's own log: one JSON object a line, rotated, mode 0600."""

import json
import logging
import logging.handlers
import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from nexa_node import private_files
from nexa_node.adapters.files.log_ring import LogRing
from nexa_node.core.policies import LogPolicy

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _PrivateRotation(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's
        """Count a line that could not be written: the disk is full, mostly."""
        COUNTS.unwritten += 1
        super().handleError(record)

    def _open(self) -> Any:
        descriptor = os.open(
            self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        return os.fdopen(descriptor, "a", encoding="utf-8")


class LogCounts(logging.Handler):
    """Counts what is logged, by level and logger; and what could not be written."""

    def __init__(self) -> None:
        """Count from 0."""
        super().__init__()
        self.records: dict[tuple[str, str], int] = {}
        self.unwritten = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        key = record.levelname.lower(), record.name
        self.records[key] = self.records.get(key, 0) + 1


COUNTS = LogCounts()
"""Of this process."""
RING = LogRing()
"""The newest lines of this process."""


def set_up_logs(policy: LogPolicy, path: Path, *, node: str, foreground: bool) -> None:
    """Send structlog and the standard library's logging to `path`.

    Args:
        policy: Level, and the size a file is rotated at.
        path: The log file; its folder is made.
        node: The node's name, on every line.
        foreground: Write the same lines to standard error too.
    """
    private_files.make_folder(path.parent)
    RING.begin(path, node=node)
    handlers: list[logging.Handler] = [
        _PrivateRotation(path, maxBytes=policy.max_bytes, backupCount=5)
    ]
    if foreground:
        handlers.append(logging.StreamHandler())
    handlers.append(RING)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_name_logger, *_shared(node)],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
    )
    root = logging.getLogger()
    root.handlers = [*handlers, COUNTS]
    for handler in handlers:
        handler.setFormatter(formatter)
    root.setLevel(_LEVELS[policy.level])
    for noisy in ("httpx", "httpcore", "asyncio", "nats"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(node),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _shared(node: str) -> list[structlog.typing.Processor]:
    def add_node(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.setdefault("node", node)
        return event

    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.add_log_level,
        add_node,
    ]


def _name_logger(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


_ODD = re.compile("[\x7f-\U0010ffff]")
"""What is more than printable ASCII, or less: a terminal obeys U+009B, too."""


def _encode(event: Any, **_: Any) -> str:
    """Write a line of which a terminal obeys nothing; read, it says the same."""
    try:
        text = msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(event, default=repr)
    return _ODD.sub(_escaped, text)


def _escaped(found: "re.Match[str]") -> str:
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]
