"""The file of a node's own figures over time."""

from pathlib import Path

from nexa_node import private_files

NAME = "history.bin"
BYTES_MAX = 256 * 1024**2
"""A larger file is not read: it is none of ours."""


class HistoryInFile:
    """`ports.HistoryFile`: one file, replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        """Keep it in `folder`."""
        self._path = folder / NAME

    def read(self) -> bytes | None:
        """What was written last; None if nothing was."""
        try:
            with self._path.open("rb") as file:
                return file.read(BYTES_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            return str(error).encode()  # no history: the reader says so

    def write(self, content: bytes) -> None:
        """Replace it, whole or not at all.

        Raises:
            Unavailable: The disk is full, or the folder isn't writable.
        """
        private_files.write(self._path, content)

    def set_aside(self) -> str:
        """Put away what can't be read; its path. The one before it is gone then."""
        damaged = self._path.with_suffix(".damaged")
        self._path.replace(damaged)
        return str(damaged)
