import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from nexa_node.adapters.host.witness import ProcessWitness, profiled

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def line(text: str, *, seconds: float = 0.0, **more: object) -> bytes:
    told = {
        "time": (NOW + timedelta(seconds=seconds)).isoformat(),
        "level": "warning",
        "node": "alpha",
        "event": text,
        **more,
    }
    return msgspec.json.encode(told) + b"\n"


async def test_only_this_nodes_lines_of_that_time_are_told(tmp_path: Path) -> None:
    log = tmp_path / "node.jsonl"
    log.write_bytes(
        b"no json\n{broken\n"
        + line("early", seconds=-40)
        + line("mine", task="t-1")
        + line("theirs", node="beta")
        + line("an event", subject="agent/a")
        + b'{"event":"no time"}\n{"time":"2026-03-01T12:00:00","event":"no zone"}\n'
        + line("late", seconds=40)
    )
    witness = ProcessWitness(log, node="alpha")
    around = timedelta(seconds=30)
    (told,) = await witness.log(NOW - around, NOW + around)
    assert (told.text, told.severity, told.node) == (
        "mine task=t-1",
        "warning",
        "alpha",
    )


async def test_without_a_log_nothing_is_told(tmp_path: Path) -> None:
    witness = ProcessWitness(tmp_path / "nothing", node="alpha")
    assert await witness.log(NOW, NOW) == ()


def test_a_profile_says_where_a_thread_is() -> None:
    ready, end = threading.Event(), threading.Event()

    def work_hard() -> None:
        ready.set()
        while not end.is_set():
            sum(range(200))

    thread = threading.Thread(target=work_hard)
    thread.start()
    ready.wait()
    assert thread.ident is not None
    told = profiled(thread.ident)
    end.set()
    thread.join()
    assert any("work_hard" in place for place in told)
    assert all(place.endswith("%") for place in told)


async def test_a_loop_that_waits_is_idle(tmp_path: Path) -> None:
    told = await ProcessWitness(tmp_path / "log", node="alpha").profile()
    assert told[0].startswith("idle")
