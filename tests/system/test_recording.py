"""A terminal's bytes as a recording."""

import json

from tests.system.recording import cast


def test_waits_are_short_scenes_are_marked_and_questions_are_left_out() -> None:
    chunks = [(0, b"a"), (5, b"\xc3"), (6, b"\xa4\x1b[?2026$p"), (90, b"x"), (91, b"y")]
    header, *events = map(
        json.loads,
        cast(
            chunks, [(0, "one"), (3, "two")], columns=10, rows=3, title="t"
        ).splitlines(),
    )

    assert (header["version"], header["width"], header["height"]) == (2, 10, 3)
    assert [event[1:] for event in events] == [
        ["m", "one"], ["o", "a"], ["o", "ä"], ["m", "two"], ["o", "x"], ["o", "y"],
    ]  # fmt: skip
    times = [event[0] for event in events]
    assert times == sorted(times)
    assert times[-1] < 10
