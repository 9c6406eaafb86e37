"""`dns`: a name resolves, the way this machine resolves names."""

from nexa_node.adapters.probes.asking import Asking, Look, Unfit
from nexa_node.adapters.probes.names import resolve

_SHOWN = 4


async def look(asking: Asking) -> Look:
    """Ask for its addresses."""
    host = asking.spec.target.strip()
    if not host or any(one in host for one in "/: "):
        raise Unfit(f"'{host}' is not a host's name", asking.correct("target"))
    addresses = await resolve(asking, host)
    more = len(addresses) - _SHOWN
    listed = ", ".join(addresses[:_SHOWN])
    return Look(f"{host} is {listed}" + (f" and {more} more" if more > 0 else ""))
