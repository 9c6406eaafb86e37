"""File descriptors, in a process of its own: a limit once raised may stay raised."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from nexa_node.adapters.asgi import descriptors

soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
possible = descriptors.take(wanted)
print(possible, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "possible", "then"),
    [
        (1024, 4096, 2000, 2000, 2256),
        (1024, 2048, 5000, 1792, 2048),
        (1024, 1024, 5000, 768, 1024),
        (2048, 4096, 100, 100, 2048),
    ],
    ids=["raised", "as far as it goes", "not at all", "never lowered"],
)
def test_there_are_as_many_as_are_promised(
    soft: int, hard: int, wanted: int, possible: int, then: int
) -> None:
    arguments = [str(number) for number in (soft, hard, wanted)]
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert said == [str(number) for number in (possible, then, hard)]
