"""`tcp`: something takes a connection."""

import time

from nexa_node.adapters.probes.asking import Asking, Look
from nexa_node.adapters.probes.lines import line
from nexa_node.adapters.probes.targets import endpoint


async def look(asking: Asking) -> Look:
    """Connect, and hang up."""
    at = endpoint(asking)
    began = time.perf_counter()
    async with line(asking, at) as connection:
        took_ms = (time.perf_counter() - began) * 1000
        peer = connection.writer.get_extra_info("peername")
    return Look(f"{at} took a connection in {took_ms:.1f} ms, at {peer[0]}")
