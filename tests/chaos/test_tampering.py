"""fsync fails, or is slow, for as long as a process is tampered with, and no longer."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.system.chaos.machine_faults import let_be, tamper, why_no_trace

SYNCS = """
import os, sys, time
with open(sys.argv[1], "w") as file:
    while True:
        began = time.monotonic()
        try:
            os.fsync(file.fileno())
            said = "slow" if time.monotonic() > began + 0.1 else "ok"
        except OSError as error:
            said = os.strerror(error.errno)
        print(said, flush=True)
        time.sleep(0.01)
"""


@pytest.fixture(scope="module", autouse=True)
def able() -> None:
    why = why_no_trace()
    if why is not None:
        pytest.skip(why)


@pytest.fixture
def syncing() -> Iterator["subprocess.Popen[str]"]:
    with (
        tempfile.NamedTemporaryFile() as file,
        subprocess.Popen(
            [sys.executable, "-c", SYNCS, file.name],
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        hear(process, "ok")
        yield process
        process.kill()


def hear(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == words:
            return
    raise AssertionError(f"it never said {words!r}")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("injected", "words"),
    [("error=EIO", "Input/output error"), ("delay_enter=100000", "slow")],
)
def test_fsync_is_tampered_with_and_let_be(
    syncing: "subprocess.Popen[str]", injected: str, words: str
) -> None:
    tracer = tamper(syncing.pid, injected)
    hear(syncing, words)
    let_be(tracer)

    hear(syncing, "ok")


def test_who_is_not_there_can_not_be_tampered_with() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass

    with pytest.raises(OSError, match=f"{gone.pid}"):
        tamper(gone.pid, "error=EIO")
