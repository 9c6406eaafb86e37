"""Histories: what was written down is read, however its writer ended."""

from pathlib import Path

from tests.system.chaos.history import Noted, Recorder, pair, read_lines


def test_calls_and_answers_are_put_together(tmp_path: Path) -> None:
    log = Recorder(tmp_path / "a.jsonl", "a")
    first = log.call("message.send", "x", {"n": 1})
    second = log.call("message.send", "x", {"n": 2}, client="a/1")
    log.back(second, "ok", {"seq": 4})
    log.back(first, "unknown", "nobody answers")
    log.note("connected", "alpha")

    lines = list(read_lines([tmp_path / "a.jsonl", tmp_path / "missing.jsonl"]))
    one, other = pair(lines)

    assert (one.asked, one.outcome, one.is_open) == ({"n": 1}, "unknown", True)
    assert (other.client, other.answer, other.is_open) == ("a/1", {"seq": 4}, False)
    assert other.returned is not None
    assert one.invoked <= other.invoked <= other.returned
    assert [line.what for line in lines if isinstance(line, Noted)] == ["connected"]


def test_a_client_that_was_killed_leaves_open_calls_and_maybe_half_a_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    log = Recorder(path, "a")
    log.call("task.submit", "k")
    log.close()
    with path.open("ab") as file:
        file.write(b'{"type":"Returned","at":1')

    [one] = pair(read_lines([path]))

    assert (one.returned, one.outcome) == (None, "unknown")
    assert "→ unknown" in str(one)
