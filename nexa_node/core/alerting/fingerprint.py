"""An alert's identity: the same number that Prometheus and Alertmanager give it."""

from collections.abc import Mapping
from functools import lru_cache

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_SEPARATOR = b"\xff"
KNOWN = 4096
"""Alerts whose identity is remembered: it is asked for at each evaluation."""


def fingerprint(labels: Mapping[str, str]) -> str:
    """Hash labels as Prometheus' model.LabelSet does: FNV-1a 64, 16 hexadecimal digits."""
    return _hashed(tuple(sorted(labels.items())))


@lru_cache(maxsize=KNOWN)
def _hashed(labels: tuple[tuple[str, str], ...]) -> str:
    hashed = _OFFSET
    for name, text in labels:
        for byte in (
            name.encode() + _SEPARATOR + text.encode(errors="replace") + _SEPARATOR
        ):
            hashed = ((hashed ^ byte) * _PRIME) & _MASK
    return f"{hashed:016x}"
