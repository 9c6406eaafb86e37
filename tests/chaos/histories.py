"""Short ways to write histories down in tests."""

from typing import Any

from tests.system.chaos.history import Op, Outcome


def op(
    kind: str,
    asked: Any,
    invoked: float,
    returned: float | None,
    answer: Any = None,
    *,
    client: str = "a",
    key: str = "x",
    outcome: Outcome | None = None,
) -> Op:
    told = outcome or ("unknown" if returned is None else "ok")
    name = f"{client}/{kind}/{asked}/{invoked}"
    return Op(name, client, kind, key, asked, invoked, returned, told, answer)


def read(invoked: float, returned: float | None, value: Any, **more: Any) -> Op:
    return op("register.read", None, invoked, returned, value, **more)


def write(invoked: float, returned: float | None, value: Any, **more: Any) -> Op:
    return op("register.write", value, invoked, returned, **more)


def cas(
    invoked: float, returned: float | None, old: Any, new: Any, won: Any, **more: Any
) -> Op:
    return op("register.cas", (old, new), invoked, returned, won, **more)
