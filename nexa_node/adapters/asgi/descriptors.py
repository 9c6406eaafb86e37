"""File descriptors: a node that promises 5,000 connections needs as many of them.

Most systems give a process 1,024 and let it take far more. Without any left, a port
takes nobody, agents that come back for their work included.
"""

import resource

SPARE = 256
"""For the store, logs, checks and children, beside the connections."""


def take(connections: int) -> int:
    """Raise this process's limit so that there is one for each of `connections`.

    Never lowers it, and takes no more than the system allows.

    Returns:
        How many connections there can be now: `connections`, or fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE
    if _fits(wanted, soft):
        return connections
    if not _fits(wanted, hard):
        wanted = hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        wanted = soft
    return min(connections, wanted - SPARE)


def _fits(wanted: int, limit: int) -> bool:
    return limit == resource.RLIM_INFINITY or wanted <= limit
