"""The machine's counters, read from the machine."""

from pathlib import Path

import psutil
import pytest

from nexa_node.adapters.host import measure as module
from nexa_node.adapters.host.measure import PsutilMeasure


def test_it_reads_this_machine(tmp_path: Path) -> None:
    it = PsutilMeasure(tmp_path)

    first = it.figures()
    sum(number * number for number in range(500_000))
    second = it.figures()

    assert first.cores >= 1
    assert 0 < first.memory_available <= first.memory_total
    size, free = first.filesystems["state"]
    assert 0 <= free <= size
    assert sum(second.cpu_s.values()) > sum(first.cpu_s.values())
    grown = "process_cpu_seconds_total"
    assert second.process[grown] >= first.process[grown]
    assert 0 < second.process["process_open_fds"] <= second.process["process_max_fds"]
    assert all(0 <= share <= 1 for share in second.pressure.values())
    assert all(len(counts) == 4 for counts in second.networks.values())


def test_pressure_is_read_where_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu").write_text(
        "some avg10=1.00 avg60=25.50 avg300=3.00 total=1\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    (tmp_path / "io").write_text("nothing of the kind")
    monkeypatch.setattr(module, "_PRESSURE", tmp_path)

    assert PsutilMeasure(tmp_path).figures().pressure == {"cpu": 0.255}


def test_what_a_container_hides_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(**_: object) -> None:
        raise OSError("not here")

    for name in ("swap_memory", "disk_io_counters", "net_io_counters"):
        monkeypatch.setattr(psutil, name, hidden)

    found = PsutilMeasure(tmp_path).figures()

    assert (found.swap_used, found.disks, found.networks) == (0, {}, {})
