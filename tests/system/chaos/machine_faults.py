"""What can be done to a machine: its disk is full or slow, its clock is wrong."""

import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.system.chaos.faults import Fault


class DiskFull(Fault):
    """The file system of a node has no byte left; then the space is given back."""

    kind = "disk-full"
    needs = "disk"

    @property
    def _ballast(self) -> Path:
        return self.town.home(self.node) / "ballast"

    def start(self) -> None:
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            piece = bytes(1024 * 1024)
            while file.write(piece):
                pass

    def hold(self) -> None:
        """What little is freed meanwhile is taken, too."""
        end = time.monotonic() + self.step.held_s
        while time.monotonic() < end:
            free = shutil.disk_usage(self.town.home(self.node)).free
            with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
                file.write(bytes(free))
            time.sleep(0.05)  # until the next look

    def heal(self) -> None:
        self._ballast.unlink(missing_ok=True)


class SlowDisk(Fault):
    """The block device lets a node's nats-server write only so often each second."""

    kind = "slow-disk"
    needs = "throttle"
    WRITES_S = 15

    def start(self) -> None:
        self._group = Throttle.own() / f"nexa-chaos-{self.whom}"
        self._group.mkdir(exist_ok=True)
        device = Throttle.device(self.town.home(self.node))
        Throttle.limit(self._group, f"{device} {self.WRITES_S}")
        store = self.town.store(self.node)
        if store is not None:
            (self._group / "cgroup.procs").write_text(str(store.pid))

    def heal(self) -> None:
        for pid in (self._group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (self._group.parent / "cgroup.procs").write_text(pid)
        with suppress(OSError):
            self._group.rmdir()


class Throttle:
    """cgroups of block devices, version 1: groups below the one that we are in."""

    _ROOT = Path("/sys/fs/cgroup/blkio")

    @classmethod
    def own(cls) -> Path:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, place = line.split(":", 2)
            if "blkio" in names.split(","):
                return cls._ROOT / place.lstrip("/")
        raise OSError("no cgroup for block devices")

    @staticmethod
    def device(place: Path) -> str:
        number = place.stat().st_dev
        return f"{number >> 8 & 0xFFF}:{number & 0xFF}"

    @staticmethod
    def limit(group: Path, words: str) -> None:
        (group / "blkio.throttle.write_iops_device").write_text(words)

    @classmethod
    def why_not(cls, place: Path) -> str | None:
        """Say why it can't be had here."""
        try:
            group = cls.own() / "nexa-chaos-probe"
            group.mkdir(exist_ok=True)
        except OSError as error:
            return f"no cgroup of ours for block devices: {error}"
        try:
            cls.limit(group, f"{cls.device(place)} 1000")
        except OSError as error:
            return f"the device of {place} can't be throttled: {error.strerror}"
        finally:
            group.rmdir()
        return None


class ClockJump(Fault):
    """A node's wall clock jumps, forward or back, by seconds or by an hour; then it is set."""

    kind = "clock"
    needs = "clocks"

    def start(self) -> None:
        ahead = self.chance.choice((-3600.0, -60.0, -3.0, 3.0, 60.0, 3600.0))
        self.town.set_clock(self.node, ahead)

    def heal(self) -> None:
        self.town.set_clock(self.node, 0.0)


def why_no_disk(folder: Path) -> str | None:
    place = folder / "probe"
    place.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"no file system of its own can be mounted: {done.stderr.strip()}"
        subprocess.run(["umount", place], check=True)
    finally:
        place.rmdir()
    return None
