"""By which addresses this machine is reached."""

import socket

import psutil

_KINDS = (socket.AF_INET, socket.AF_INET6)


def addresses() -> tuple[str, ...]:
    """All of them; none that is good for one link only."""
    found = [
        one.address
        for each in psutil.net_if_addrs().values()
        for one in each
        if one.family in _KINDS and "%" not in one.address
    ]
    return tuple(dict.fromkeys(found))
