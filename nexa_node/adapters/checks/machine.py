"""The machine: what nexa runs on, measured now."""

import asyncio
import ctypes
import locale
import os
import platform
import secrets
import shutil
import socket
import stat
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil

from nexa_node.core.policies import SelfTestPolicy
from nexa_node.services.health.self_test import Outcome

PYTHON_MIN = (3, 11)
_GIB = 1024**3
_MIB = 1024**2
_FSYNCS = 5
_DRIFT_S = 0.2
_YEAR_MIN = 2025
_STA_UNSYNC = 0x0040


async def python() -> Outcome:
    """Say which Python, and whether it is new enough."""
    version = platform.python_version()
    if sys.version_info < PYTHON_MIN:
        return Outcome(
            "fail",
            detail=version,
            cause="nexa needs Python 3.11 or newer",
            remedy="python3.11 -m venv .venv, and install nexa there",
        )
    return Outcome(
        "pass", detail=f"{version} on {platform.system()} {platform.machine()}"
    )


async def cores() -> Outcome:
    """Count the cores this process may use."""
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    number = number or os.cpu_count() or 1
    busy = psutil.getloadavg()[0] / number
    detail = f"{number} cores, load {psutil.getloadavg()[0]:.2f}"
    if number < 2:  # nexa and its nats-server
        return Outcome(
            "warn",
            detail=detail,
            cause="one core is shared by the node, its store and the agents",
            remedy="give the machine a second core",
        )
    if busy > 2:  # twice as much to do as can be done
        return Outcome(
            "warn",
            detail=detail,
            cause="twice as many processes want to run as there are cores",
            remedy="top, and end what is not needed",
        )
    return Outcome("pass", detail=detail)


async def memory(policy: SelfTestPolicy) -> Outcome:
    """Measure available memory."""
    found = psutil.virtual_memory()
    detail = f"{found.available / _GIB:.1f} of {found.total / _GIB:.1f} GiB available"
    if found.available < policy.memory_free_warn_bytes:
        return Outcome(
            "warn",
            detail=detail,
            cause=f"less than {policy.memory_free_warn_bytes // _MIB} MiB are available",
            remedy="ps aux --sort=-rss | head, and end what is not needed",
        )
    return Outcome("pass", detail=detail)


async def disk(folder: Path, policy: SelfTestPolicy) -> Outcome:
    """Measure free space where the state is kept."""
    found = shutil.disk_usage(_existing(folder))
    detail = f"{found.free / _GIB:.1f} GiB free for {folder}"
    if found.free < policy.disk_free_fail_bytes:
        return Outcome(
            "fail",
            detail=detail,
            cause=f"less than {policy.disk_free_fail_bytes // _MIB} MiB are free",
            remedy=f"free space: du -xsh {folder.parent}/*; or set NEXA_HOME elsewhere",
        )
    if found.free < policy.disk_free_warn_bytes:
        return Outcome(
            "warn",
            detail=detail,
            cause=f"less than {policy.disk_free_warn_bytes // _MIB} MiB are free",
            remedy=f"free space: du -xsh {folder.parent}/*",
        )
    return Outcome("pass", detail=detail)


async def fsync(folder: Path, policy: SelfTestPolicy) -> Outcome:
    """Write and sync a small file where the state is kept; the worst of five."""
    try:
        times_ms = await asyncio.to_thread(_time_fsync, _existing(folder))
    except OSError as error:
        return Outcome(
            "fail",
            cause=f"{folder} can't be written: {error.strerror}",
            remedy=f"make {folder} writable, or set NEXA_HOME to another folder",
        )
    worst, median = max(times_ms), sorted(times_ms)[len(times_ms) // 2]
    detail = f"fsync {median:.1f} ms, worst {worst:.1f} ms"
    if median > policy.fsync_warn_ms:
        return Outcome(
            "warn",
            detail=detail,
            cause="every acknowledged write waits for the disk, and this one is slow",
            remedy="put NEXA_HOME on a local SSD, not on a network file system",
        )
    return Outcome("pass", detail=detail)


def _time_fsync(folder: Path) -> list[float]:
    path = folder / f".nexa-fsync-{secrets.token_hex(6)}"
    times_ms: list[float] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(_FSYNCS):
            began = time.perf_counter()
            os.write(descriptor, b"x" * 4096)
            os.fsync(descriptor)
            times_ms.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return times_ms


async def clock() -> Outcome:
    """See whether the wall clock is sane, steady and, on Linux, synchronised."""
    wall, steady = time.time(), time.monotonic()
    await asyncio.sleep(_DRIFT_S)
    drift_ms = ((time.time() - wall) - (time.monotonic() - steady)) * 1000
    now = datetime.now(UTC)
    detail = f"{now:%Y-%m-%d %H:%M:%S} UTC, drift {drift_ms:+.1f} ms"
    if now.year < _YEAR_MIN:
        return Outcome(
            "fail",
            detail=detail,
            cause=f"it is not {now.year}",
            remedy="timedatectl set-ntp true",
        )
    if abs(drift_ms) > 100:  # a tenth of a second within a fifth
        return Outcome(
            "warn",
            detail=detail,
            cause="the clock was set while it was watched",
            remedy="timedatectl timesync-status",
        )
    synchronised = _synchronised()
    if synchronised is False:
        return Outcome("pass", detail=f"{detail}, not synchronised by NTP")
    return Outcome("pass", detail=detail + (", synchronised" if synchronised else ""))


def _synchronised() -> bool | None:
    """Ask the kernel; None where it can't be asked."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        timex = (ctypes.c_char * 256)()  # struct timex: modes = 0 only reads
        if libc.adjtimex(ctypes.byref(timex)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    status_at = 4 * ctypes.sizeof(ctypes.c_long) + ctypes.sizeof(ctypes.c_long)
    status = int.from_bytes(timex.raw[status_at : status_at + 4], sys.byteorder)
    return not status & _STA_UNSYNC


async def locale_and_terminal(environ: Mapping[str, str]) -> Outcome:
    """See whether text is UTF-8, and what the terminal says it can."""
    encoding = locale.getpreferredencoding(do_setlocale=False)
    term = environ.get("TERM") or "none"
    colours = environ.get("COLORTERM") or ("256" if "256" in term else "16")
    detail = f"{encoding}, TERM={term}" + (
        f", colours {colours}" if term != "none" else ""
    )
    if encoding.lower().replace("-", "") != "utf8":
        return Outcome(
            "warn",
            detail=detail,
            cause="the locale is not UTF-8; lines and bars may be drawn wrongly",
            remedy="export LANG=C.UTF-8; or nexa --ascii",
        )
    return Outcome("pass", detail=detail)


async def port(host: str, number: int, *, ours: int | None) -> Outcome:
    """See whether the node's port is free, or held by our own node.

    Args:
        host: Where the node would listen.
        number: The port; 0 takes any.
        ours: The port our own node listens on, if it runs.
    """
    if ours is not None:
        return Outcome("pass", detail=f"{ours}, ours")
    if number == 0:
        return Outcome("pass", detail="any free one")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, number))
        except OSError as error:
            return Outcome(
                "warn",
                detail=f"{host}:{number}",
                cause=f"port {number} can't be had: {error.strerror}",
                remedy=f"ss -ltnp 'sport = :{number}'; or nexa node start --port 0",
            )
    return Outcome("pass", detail=f"{host}:{number} is free")


async def file_modes(folders: tuple[Path, ...]) -> Outcome:
    """See that nobody else can read what nexa keeps."""
    seen = 0
    for folder in folders:
        for path in _kept(folder):
            try:
                mode = stat.S_IMODE(path.lstat().st_mode)
            except FileNotFoundError:
                continue  # it was there a moment ago; a file that is replaced is no fault
            seen += 1
            if _is_open(path, mode):
                return Outcome(
                    "fail" if _is_secret(path) else "warn",
                    detail=f"{path} has mode {mode:04o}",
                    cause="other users of this machine may read it",
                    remedy=f"chmod go-rwx {path}",
                )
    if not seen:
        return Outcome("pass", detail="nothing is kept yet")
    return Outcome("pass", detail=f"{seen} files and folders, for this user alone")


def _kept(folder: Path) -> list[Path]:
    """What lies in the first levels; the store below is nats-server's own."""
    if not folder.is_dir():
        return []
    found = [folder, *folder.glob("*"), *folder.glob("*/*"), *folder.glob("*/*/*")]
    return [
        path
        for path in found
        if "jetstream" not in path.parts and not path.is_symlink()
    ]


def _is_open(path: Path, mode: int) -> bool:
    if path.is_dir():
        return bool(mode & 0o022)
    return bool(mode & 0o077) if _is_secret(path) else bool(mode & 0o022)


def _is_secret(path: Path) -> bool:
    return path.suffix in {".token", ".seed", ".nk"} or path.name == "nats.conf"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
