"""Wall clocks that can be set for each node: a library of ours, preloaded.

nats-server is linked statically and keeps the machine's clock: what jumps is the node's.
"""

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


def why_not() -> str | None:
    """Say why clocks can't be set here; None if they can."""
    if shutil.which("cc") is None:
        return "there is no C compiler (cc) for the clock that is preloaded"
    with tempfile.TemporaryDirectory() as folder:
        try:
            Clocks(Path(folder))
        except subprocess.CalledProcessError as error:
            return (
                f"the clock that is preloaded does not compile: {error.stderr[:200]!r}"
            )
    return None


class Clocks:
    """The clocks of a run, in a folder."""

    def __init__(self, folder: Path) -> None:
        """Compile the library.

        Raises:
            CalledProcessError: It does not compile.
        """
        self._folder = folder
        self._library = folder / "clock.so"
        words = ["cc", "-O1", "-shared", "-fPIC", "-o", self._library, _SOURCE]
        subprocess.run(words, check=True, capture_output=True)

    def environ(self, name: str) -> Mapping[str, str]:
        """What a process needs to have the clock `name`."""
        path = self._path(name)
        if not path.exists():
            path.write_bytes(struct.pack("q", 0))
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(path)}

    def set(self, name: str, ahead_s: float) -> None:
        """Let a clock be so much ahead of the machine's, at once."""
        with self._path(name).open("r+b") as file:
            file.write(struct.pack("q", round(ahead_s * 1e9)))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.clock"
