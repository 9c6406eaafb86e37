"""The machine's figures, read with psutil."""

import time
from collections.abc import Mapping
from pathlib import Path

import psutil


class PsutilProbe:
    """`ports.HostProbe`. Rates are since the previous reading."""

    def __init__(self, folder: Path) -> None:
        """Watch the machine, and the file system that holds `folder`."""
        self._folder = str(folder)
        self._process = psutil.Process()
        self._read_at = time.monotonic()
        self._network = _network()
        psutil.cpu_percent(interval=None)

    def sample(self) -> Mapping[str, float]:
        """Read them now; costs well under a millisecond, and touches no disk."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(self._folder)
        now, network = time.monotonic(), _network()
        elapsed = max(now - self._read_at, 1e-3)
        received, sent = (
            max(0.0, after - before) / elapsed
            for after, before in zip(network, self._network, strict=True)
        )
        self._read_at, self._network = now, network
        return {
            "cpu": psutil.cpu_percent(interval=None) / 100,
            "memory": memory.percent / 100,
            "memory_bytes": memory.total - memory.available,
            "memory_total_bytes": memory.total,
            "disk": disk.percent / 100,
            "disk_free_bytes": disk.free,
            "load_1m": psutil.getloadavg()[0],
            "net_rx_bytes_s": received,
            "net_tx_bytes_s": sent,
            "rss_bytes": self._resident(),
        }

    def _resident(self) -> int:
        total = self._process.memory_info().rss
        for child in self._process.children():
            try:
                total += child.memory_info().rss
            except psutil.Error:  # it ended between the listing and the reading
                continue
        return total


def _network() -> tuple[float, float]:
    counters = psutil.net_io_counters()
    return counters.bytes_recv, counters.bytes_sent
