"""How many may watch at once, by identity and by address. Counting only."""

from collections import Counter

from nexa_node.contract.errors import RateLimited

RETRY_MS = 5000


class Seats:
    """Places for consoles."""

    def __init__(self, *, per_identity: int, per_address: int) -> None:
        """Begin with nobody."""
        self._limits = {
            "consoles_per_identity": per_identity,
            "consoles_per_address": per_address,
        }
        self._taken: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        """Since the start, by the setting that caused it."""

    def take(self, identity: str, address: str) -> None:
        """Take a place; `leave` gives it back.

        Raises:
            RateLimited: This identity, or this address, has as many as it may.
        """
        keys = _keys(identity, address)
        for setting, whose in keys:
            taken, limit = self._taken[setting, whose], self._limits[setting]
            if taken >= limit:
                self.refused[setting] += 1
                raise RateLimited(
                    f"{whose} watches with {taken} consoles already",
                    remedy=f"close one of them, or raise http.{setting}",
                    retry_after_ms=RETRY_MS,
                    details={"limit": f"http.{setting}"},
                )
        self._taken.update(keys)

    def leave(self, identity: str, address: str) -> None:
        """Give a place back that was taken."""
        for key in _keys(identity, address):
            self._taken[key] -= 1
            if self._taken[key] <= 0:
                del self._taken[key]


def _keys(identity: str, address: str) -> list[tuple[str, str]]:
    return [("consoles_per_identity", identity), ("consoles_per_address", address)]
