"""Every fault by its name, by groups, and what each needs of the machine."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.system.chaos import clocks
from tests.system.chaos.faults import (
    Fault,
    KillAgent,
    KillBoth,
    KillNode,
    KillStore,
    Restart,
    StopAgent,
    StopNode,
    StopStore,
    Storm,
    Stutter,
)
from tests.system.chaos.machine_faults import (
    ClockJump,
    DiskFull,
    FsyncError,
    SlowDisk,
    why_no_disk,
    why_no_trace,
)
from tests.system.chaos.network_faults import (
    Cut,
    CutClients,
    CutLink,
    CutOneWay,
    Delay,
    Flap,
    Loss,
    SlowClients,
    StallClients,
)
from tests.system.chaos.wire import why_not

VOCABULARY: dict[str, type[Fault]] = {
    one.kind: one
    for one in (
        KillNode, KillStore, KillBoth, KillAgent, StopNode, StopStore, StopAgent,
        Stutter, Restart, Storm, DiskFull, SlowDisk, FsyncError,
        ClockJump, Cut, CutOneWay, CutLink,
        Flap, Delay, Loss, CutClients, StallClients, SlowClients,
    )
}  # fmt: skip
GROUPS: dict[str, tuple[str, ...]] = {
    "kill": ("kill-node", "kill-store", "kill-both", "kill-agent"),
    "stop": ("stop-node", "stop-store", "stop-agent"),
    "partition": ("cut", "cut-one-way", "cut-link", "flap"),
    "network": ("cut", "cut-one-way", "cut-link", "flap", "delay", "loss"),
    "clients": ("cut-clients", "stall-clients", "slow-clients"),
    "disk": ("disk-full", "slow-disk", "fsync-error"),
    "ci": (
        "kill-node", "kill-both", "kill-agent", "stop-node", "stop-store", "restart",
        "cut", "cut-one-way", "flap", "delay", "loss", "slow-disk", "fsync-error",
    ),
    "all": tuple(VOCABULARY),
}  # fmt: skip
NEEDS: dict[str, Callable[[Path, int], str | None]] = {
    "": lambda _folder, _nodes: None,
    "wire": lambda _folder, nodes: (
        why_not() if nodes > 1 else "one node has nobody to be cut off from"
    ),
    "disk": lambda folder, _nodes: why_no_disk(folder),
    "trace": lambda _folder, _nodes: why_no_trace(),
    "clocks": lambda _folder, _nodes: clocks.why_not(),
    "proxies": lambda _folder, _nodes: None,
}


def chosen(words: str) -> list[str]:
    """The kinds that are named, by themselves or by a group's name.

    Raises:
        ValueError: One of them is unknown.
    """
    kinds: list[str] = []
    for word in words.replace(",", " ").split():
        if word not in VOCABULARY and word not in GROUPS:
            known = ", ".join([*GROUPS, *VOCABULARY])
            raise ValueError(f"there is no fault {word!r}; there are {known}")
        kinds += GROUPS.get(word, (word,))
    return list(dict.fromkeys(kinds))


def unable(kinds: Sequence[str], folder: Path, nodes: int) -> dict[str, str]:
    """Which of them can't be had here, and why."""
    why: dict[str, str | None] = {}
    for kind in kinds:
        need = VOCABULARY[kind].needs
        if need not in why:
            why[need] = NEEDS[need](folder, nodes)
    return {
        kind: words
        for kind in kinds
        if (words := why[VOCABULARY[kind].needs]) is not None
    }
