"""Watch the wall clock against the steady one, and say when somebody set it.

Leases, time-outs and grace are counted in steady time and don't care. Deadlines, token
expiry and the times of events are by the wall clock and do, so operators must know.
"""

from nexa_node.ports import Clock
from nexa_node.services.api import Journal

LOOK_EVERY_S = 2.0
JUMP_S = 1.0
"""More than that between two looks is no drift: the clock was set, or the machine slept."""


class ClockWatch:
    """Journals `clock.jumped`."""

    def __init__(self, *, clock: Clock, journal: Journal, node: str) -> None:
        """Nothing is compared before `run`."""
        self._clock = clock
        self._journal = journal
        self._node = node

    async def run(self) -> None:
        """Compare, for ever."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            now, passed = self._clock.now(), self._clock.monotonic()
            jump_s = (now - wall).total_seconds() - (passed - steady)
            wall, steady = now, passed
            if abs(jump_s) >= JUMP_S:
                self._note(jump_s)

    def _note(self, jump_s: float) -> None:
        self._journal.record(
            "clock.jumped",
            subject=f"node/{self._node}",
            message=(
                f"the clock of {self._node} jumped by {jump_s:+.1f} s: leases go on as"
                " they were; deadlines and token ends now follow the new time."
                " See that it is synchronised: timedatectl timesync-status"
            ),
            severity="warning",
            data={"jump_s": round(jump_s, 3)},
        )
