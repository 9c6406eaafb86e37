"""The start-up log keeps every start and every check."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from nexa_node.adapters.files import startup_log
from nexa_node.adapters.files.startup_log import StartupLog
from nexa_node.contract.checks import CheckResult, SelfTest


def lines(path: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_a_run_is_a_line_a_check_and_one_that_sums_up(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "startup.jsonl"
    check = CheckResult(id="node.store", group="node", title="store", status="pass")
    run = SelfTest(
        status="pass",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        duration_ms=12.0,
        checks=(check,),
    )

    StartupLog(path, node="alpha").selftest(run)

    told = lines(path)
    assert [one["kind"] for one in told] == ["check", "selftest"]
    assert {one["node"] for one in told} == {"alpha"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_long_log_is_rotated(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(startup_log, "ROTATE_BYTES", 10)
    log = StartupLog(tmp_path / "startup.jsonl")
    for number in range(6):
        log.note("node.start", number=number)

    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [
        "startup.jsonl", "startup.jsonl.1", "startup.jsonl.2", "startup.jsonl.3"
    ]  # fmt: skip
    assert lines(tmp_path / "startup.jsonl")[0]["number"] == 5


def test_a_log_that_cant_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    StartupLog(tmp_path / "file" / "startup.jsonl").note("node.start")
