"""What settings must mean, beyond their types: names that are slugs, numbers in range."""

from typing import Any, NoReturn, cast

import msgspec

from nexa_node.adapters.files.config_alerting import check_alerting
from nexa_node.adapters.files.config_cluster import check_cluster
from nexa_node.adapters.files.config_store import check_store
from nexa_node.adapters.files.config_tls import check_tls
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug
from nexa_node.core.policies import CheckSpec, QueuePolicy
from nexa_node.settings import Settings

_PORT_MAX = 65535
_MAY_BE_0 = {
    "grace_ms",
    "hold_ms",
    "disk_free_warn_bytes",
    "disk_free_fail_bytes",
    "memory_free_warn_bytes",
    "fsync_warn_ms",
}
_NEEDS_TARGET = {"http", "tcp", "tls", "dns", "nats", "postgres", "redis", "smtp"}


class ConfigInvalid(Invalid):
    """The settings are wrong; the message says where."""


def check_meaning(settings: Settings, origins: dict[str, str]) -> None:
    """Refuse values that are well-formed and mean nothing.

    Raises:
        ConfigInvalid: Names the origin, the key and why.
    """
    node = settings.node
    if node.name and not is_slug(node.name):
        _refuse("node.name", f"'{node.name}' is no slug (a-z, 0-9, - and _)", origins)
    if not 0 <= node.port <= _PORT_MAX:
        _refuse("node.port", f"{node.port} is no port (0 to {_PORT_MAX})", origins)
    if not is_slug(node.cluster):
        _refuse("node.cluster", f"'{node.cluster}' is no slug", origins)
    check_store(settings, origins, lambda key, why: _refuse(key, why, origins))
    check_tls(settings, lambda key, why: _refuse(key, why, origins))
    _check_ranges(settings, origins)
    check_cluster(
        settings.cluster, origins, lambda key, why: _refuse(key, why, origins)
    )
    check_alerting(settings, lambda key, why: _refuse(key, why, origins))
    seen: set[str] = set()
    for number, check in enumerate(settings.checks):
        _check_check(check, f"check.{number}", seen, origins)
    kinds: set[tuple[str, str]] = set()
    for number, queue in enumerate(settings.queues):
        _check_queue(queue, f"queue.{number}", kinds, origins)


def _check_ranges(settings: Settings, origins: dict[str, str]) -> None:
    """Refuse numbers nothing can work with: a beat of 0 ms would take a whole core."""
    built: dict[str, Any] = msgspec.to_builtins(settings)
    for section, table in built.items():
        if not isinstance(table, dict):
            continue  # an array of tables has checks of its own
        for key, value in cast("dict[str, Any]", table).items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            least = 1 if key.endswith(("_ms", "_bytes", "_frames")) else 0
            if key in _MAY_BE_0:
                least = 0
            if value < least:
                why = f"{value} is too little; it must be at least {least}"
                _refuse(f"{section}.{key}", why, origins)


def _check_check(
    check: CheckSpec, where: str, seen: set[str], origins: dict[str, str]
) -> None:
    if not is_slug(check.name):
        _refuse(f"{where}.name", f"'{check.name}' is no slug", origins)
    if check.name in seen:
        _refuse(f"{where}.name", f"there are two checks named '{check.name}'", origins)
    seen.add(check.name)
    if check.kind in _NEEDS_TARGET and not check.target:
        _refuse(
            f"{where}.kind", f"a check of kind {check.kind} needs a target", origins
        )
    if check.kind == "exec" and not check.command:
        _refuse(f"{where}.kind", "a check of kind exec needs a command", origins)
    if check.timeout_ms <= 0:
        _refuse(f"{where}.timeout_ms", "a time-out must be above 0", origins)


def _check_queue(
    queue: QueuePolicy, where: str, seen: set[tuple[str, str]], origins: dict[str, str]
) -> None:
    for key, slug in (("name", queue.name), ("namespace", queue.namespace)):
        if not is_slug(slug):
            _refuse(f"{where}.{key}", f"'{slug}' is no slug", origins)
    if (queue.namespace, queue.name) in seen:
        why = f"there are two queues named '{queue.name}' in {queue.namespace}"
        _refuse(f"{where}.name", why, origins)
    seen.add((queue.namespace, queue.name))


def _refuse(dotted: str, why: str, origins: dict[str, str]) -> NoReturn:
    origin = origins.get(dotted, "the settings")
    raise ConfigInvalid(f"{origin}: {dotted}: {why}", remedy=f"correct {dotted}")
