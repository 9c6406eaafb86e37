"""Fuzzing, the short form: the whole corpus, some of what becomes of it, and laws.

The long form is a program: `python -m tests.fuzz.frames --seconds 600`.
"""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.frames import METHODS
from tests.fuzz import session_target, socket_target
from tests.fuzz.frames import CORPUS, corpus, main
from tests.fuzz.guided import explore
from tests.fuzz.mutating import HOSTILE, mutated

KEPT = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))
TARGETS = {"session": session_target.run, "socket": socket_target.run}


@pytest.mark.parametrize("name", KEPT, ids=str)
def test_an_input_that_was_kept(name: Path) -> None:
    TARGETS[name.parts[0]]((CORPUS / name).read_bytes())


@pytest.mark.parametrize(("target", "inputs"), [("session", 1500), ("socket", 250)])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_becomes_of_the_corpus(target: str, inputs: int, seed: int) -> None:
    rng, known = random.Random(seed), corpus(target)
    for _ in range(inputs):
        data = mutated(rng, rng.choice(known), known)
        try:
            TARGETS[target](data)
        except Exception as error:
            error.add_note(f"the input: {data!r}")
            raise


values = st.recursive(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.text(max_size=20),
        st.integers(),
        st.floats(),
        st.none(),
        st.booleans(),
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner)
    ),
    max_leaves=12,
)
members = st.sampled_from(
    ["id", "type", "data", "seq", "upto", "to", "claim_epoch", "limit", "labels"]
)
frames = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | values,
        "id": st.integers(0, 3) | values,
        "method": st.sampled_from(sorted(METHODS)) | values,
        "params": st.dictionaries(members, values) | values,
        "result": values,
        "error": values,
    },
)


@settings(max_examples=200)
@given(
    head=st.sampled_from([b"jo", b"mo", b"js", b"ma"]),
    said=st.lists(frames | st.lists(frames, max_size=4), max_size=6),
    between=st.sampled_from([b"a", b"r", b"w", b"q", b"t", b"n"]),
)
def test_no_frame_makes_the_machine_raise(
    head: bytes, said: list[Any], between: bytes
) -> None:
    lines = [head]
    for frame in said:
        try:
            lines += [b"p" + msgspec.json.encode(frame), between]
        except (ValueError, OverflowError):  # no document at all
            continue
    session_target.run(b"\n".join(lines))


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=40), max_size=6), st.sampled_from([b"u", b"", b"ud"])
)
def test_no_bytes_leave_a_connection_behind(said: list[bytes], head: bytes) -> None:
    hexed = [b">" + b"".join(b"\\x%02x" % one for one in part) for part in said]
    socket_target.run(b"\n".join([head, *hexed]))


def test_the_loop_finds_what_is_planted() -> None:
    def planted(data: bytes) -> None:
        if data.count(b"f1:") < 3:
            return
        if b"y2:" in data:
            raise RuntimeError("found")

    found = explore(planted, [b"x"], parts=[__file__], seconds=30, seed=1)

    assert isinstance(found.error, RuntimeError)
    assert found.news
    assert found.crash is not None
    assert b"y2:" in found.crash


def test_the_same_seed_tries_the_same_inputs() -> None:
    tried: list[list[bytes]] = [[], []]
    for each in tried:
        explore(each.append, [b"u\nf1:a"], parts=["/"], seconds=30, seed=7, runs=50)

    assert tried[0] == tried[1]
    assert len(set(tried[0])) > 25


@pytest.mark.parametrize("target", ["session", "socket"])
def test_the_program(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--engine", "own", "--target", target, "--seconds", "1"]

    assert main(options) == 0
    assert "edges" in capsys.readouterr().out


def test_one_input_again(capsys: pytest.CaptureFixture[str]) -> None:
    path = CORPUS / "session" / "nan.txt"

    assert main(["--target", "session", str(path)]) == 0
    assert "no fault" in capsys.readouterr().out


def test_a_fault_is_written_down(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.fuzz import frames, session_target\n"
        "def broken(data): raise ValueError('planted')\n"
        "session_target.run = broken\n"
        f"sys.exit(frames.main(['--engine', 'own', '--target', 'session',"
        f" '--crashes', {str(tmp_path)!r}]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    (crash,) = tmp_path.iterdir()
    assert said.returncode == 1
    assert str(crash) in said.stdout
    assert crash.read_bytes() in corpus("session")
