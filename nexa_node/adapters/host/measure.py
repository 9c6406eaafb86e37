"""What the machine has counted, for the metrics: psutil, and Linux's pressure files."""

import contextlib
import re
import resource
from collections.abc import Mapping
from pathlib import Path

import psutil

from nexa_node.ports import HostFigures

MODES = ("user", "system", "nice", "idle", "iowait", "irq", "softirq", "steal")
SHOWN_MAX = 20
"""Devices and mount points of a kind that are told: the first by name."""
_PRESSURE = Path("/proc/pressure")
_SOME = re.compile(r"^some .*\bavg60=([0-9.]+)", re.MULTILINE)
_WHOLE_DISK = re.compile(r"(sd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+|disk\d+)")


class PsutilMeasure:
    """`ports.HostMeasure`."""

    def __init__(self, folder: Path) -> None:
        """Watch the machine, and the file system that holds `folder` among others."""
        self._folder = str(folder)
        self._process = psutil.Process()

    def figures(self) -> HostFigures:
        """Read them now."""
        memory = psutil.virtual_memory()
        times = psutil.cpu_times()._asdict()
        return HostFigures(
            cpu_s={mode: float(times[mode]) for mode in MODES if mode in times},
            cores=psutil.cpu_count() or 1,
            load1=psutil.getloadavg()[0],
            memory_total=memory.total,
            memory_available=memory.available,
            swap_used=_swap(),
            filesystems=self._filesystems(),
            disks=_disks(),
            networks=_networks(),
            pressure=_pressure(),
            process=self._of_process(),
        )

    def _filesystems(self) -> Mapping[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        usage = psutil.disk_usage(self._folder)
        found["state"] = usage.total, usage.free
        with contextlib.suppress(OSError):
            for part in sorted(
                psutil.disk_partitions(), key=lambda one: one.mountpoint
            ):
                if len(found) < SHOWN_MAX:
                    with contextlib.suppress(OSError):
                        usage = psutil.disk_usage(part.mountpoint)
                        found[part.mountpoint] = usage.total, usage.free
        return found

    def _of_process(self) -> Mapping[str, float]:
        with self._process.oneshot():
            times, memory = self._process.cpu_times(), self._process.memory_info()
            return {
                "process_cpu_seconds_total": times.user + times.system,
                "process_resident_memory_bytes": memory.rss,
                "process_virtual_memory_bytes": memory.vms,
                "process_start_time_seconds": self._process.create_time(),
                "process_open_fds": self._process.num_fds(),
                "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            }


def _swap() -> int:
    try:
        return psutil.swap_memory().used
    except OSError:  # a container without /proc/vmstat
        return 0


def _disks() -> Mapping[str, tuple[int, int, float]]:
    try:
        counters = psutil.disk_io_counters(perdisk=True) or {}
    except (OSError, RuntimeError):
        return {}
    whole = sorted(name for name in counters if _WHOLE_DISK.fullmatch(name))
    return {
        name: (
            counters[name].read_bytes,
            counters[name].write_bytes,
            getattr(counters[name], "busy_time", 0) / 1000,
        )
        for name in whole[:SHOWN_MAX]
    }


def _networks() -> Mapping[str, tuple[int, int, int, int]]:
    try:
        counters = psutil.net_io_counters(pernic=True)
    except OSError:
        return {}
    return {
        name: (one.bytes_recv, one.bytes_sent, one.dropin, one.errin)
        for name, one in sorted(counters.items())[:SHOWN_MAX]
    }


def _pressure() -> Mapping[str, float]:
    found: dict[str, float] = {}
    for resource_ in ("cpu", "memory", "io"):
        with contextlib.suppress(OSError):
            told = _SOME.search((_PRESSURE / resource_).read_text())
            if told:
                found[resource_] = float(told[1]) / 100
    return found
