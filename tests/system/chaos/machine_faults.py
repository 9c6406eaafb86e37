"""What can be done to a machine: its disk is full or slow, its clock is wrong."""

import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.system.chaos.faults import Fault

ATTACHED_S = DETACHED_S = 10.0


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
    """Each fsync of a node's nats-server takes 0.1 s longer."""

    kind = "slow-disk"
    needs = "trace"
    _INJECTED = "delay_enter=100000"

    def start(self) -> None:
        store = self.town.store(self.node)
        self._tracer = None if store is None else tamper(store.pid, self._INJECTED)

    def heal(self) -> None:
        if self._tracer is not None:
            let_be(self._tracer)


class FsyncError(SlowDisk):
    """Each fsync of a node's nats-server fails with EIO: the disk is dying."""

    kind = "fsync-error"
    _INJECTED = "error=EIO"


def tamper(pid: int, injected: str) -> "subprocess.Popen[bytes]":
    """Have a process' fsyncs tampered with, by strace; returns when they are."""
    calls = "fsync,fdatasync"
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid)]
    words += ["-e", f"trace={calls}", "-e", f"inject={calls}:{injected}"]
    tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + ATTACHED_S
    while tracer.poll() is None and time.monotonic() < end:
        if _traces(tracer.pid, pid):
            return tracer
        time.sleep(0.02)  # until the next look
    tracer.kill()
    _, said = tracer.communicate()
    raise OSError(f"strace does not attach to {pid}: {said.decode().strip()}")


def _traces(tracer: int, pid: int) -> bool:
    try:
        return f"TracerPid:\t{tracer}\n" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def let_be(tracer: "subprocess.Popen[bytes]") -> None:
    """Tamper no more."""
    tracer.terminate()
    tracer.communicate(timeout=DETACHED_S)


def why_no_trace() -> str | None:
    """Say why the calls of a process can't be tampered with here; None if they can."""
    if shutil.which("strace") is None:
        return "the program strace is missing"
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            let_be(tamper(victim.pid, "error=EIO"))
        except OSError as error:
            return str(error)
        finally:
            victim.kill()
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
