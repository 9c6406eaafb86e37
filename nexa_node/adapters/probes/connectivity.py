"""What is outside: one `[[check]]` of the settings, looked at for real.

Every kind answers the same way: an `Outcome` that names the cause and what mends it.
Nothing here knows a time-out: the engine cancels a probe that is late, and each probe
closes what it opened when that happens.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import cast

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.mending import of_os_error
from nexa_node.adapters.probes.text import printable
from nexa_node.core.policies import CheckSpec
from nexa_node.services.health.self_test import Outcome

_KINDS = {
    "http": "http",
    "tcp": "tcp",
    "tls": "tls",
    "dns": "dns",
    "nats": "nats",
    "postgres": "postgres",
    "redis": "redis",
    "smtp": "smtp",
    "exec": "program",
}
"""Each kind's module, imported when there is a check of that kind: drivers are slow."""


async def probe(
    spec: CheckSpec, *, environ: Mapping[str, str], place: str = "nexa.toml"
) -> Outcome:
    """Look at one thing outside.

    Args:
        spec: What to look at, and what passes.
        environ: What programs that are started get; nexa's own secrets are left out.
        place: The settings file, named in remedies.

    Returns:
        What was found. Expected failures are outcomes; only cancellation escapes.
    """
    asking = Asking(spec, place=place, environ=environ)
    look = _look_of(spec.kind)
    began = time.perf_counter()
    try:
        found = await look(asking)
    except Unfit as unfit:
        return _failed(unfit, asking)
    except OSError as error:
        return _failed(of_os_error(error, asking, where=spec.target), asking)
    return _outcome(found, asking, took_ms=(time.perf_counter() - began) * 1000)


def _look_of(kind: str) -> Callable[[Asking], Awaitable[Look]]:
    module = import_module(f"nexa_node.adapters.probes.{_KINDS[kind]}")
    return cast("Callable[[Asking], Awaitable[Look]]", module.look)


def _failed(unfit: Unfit, asking: Asking) -> Outcome:
    cause = asking.hide(printable(unfit.cause))
    return Outcome("fail", cause=cause, remedy=unfit.remedy)


def _outcome(found: Look, asking: Asking, *, took_ms: float) -> Outcome:
    """Pass, or warn for what was found; slowness warns only if nothing else does."""
    detail = asking.hide(printable(found.detail))
    if found.warning is not None:
        cause = asking.hide(printable(found.warning.cause))
        return Outcome("warn", detail, cause, found.warning.remedy)
    limit_ms = asking.spec.warn_ms
    if limit_ms and took_ms > limit_ms:
        return Outcome(
            "warn",
            detail,
            f"it took {took_ms:.0f} ms, more than the {limit_ms} ms of warn_ms",
            f"see why it is slow, or raise warn_ms {asking.entry}",
        )
    return Outcome("pass", detail)
