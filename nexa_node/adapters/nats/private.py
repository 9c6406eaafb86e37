"""The store's files that nobody else may read; a failure is one of the store's."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nexa_node import private_files
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.contract.errors import Invalid, Unavailable


def make_folder(path: Path) -> None:
    """Make `path` and its missing parents, for this user alone.

    Raises:
        StoreFailed: It can't be made.
    """
    with _the_stores():
        private_files.make_folder(path)


def write(path: Path, content: bytes) -> None:
    """Replace `path` by a file of mode 0600 with `content`, whole or not at all.

    Raises:
        StoreFailed: It can't be written.
    """
    with _the_stores():
        private_files.write(path, content)


def read(path: Path) -> bytes | None:
    """Read a file, not following a link; None if there is none.

    Raises:
        StoreFailed: It can't be read.
    """
    with _the_stores():
        return private_files.read(path, secret=False)


def refused(path: Path, error: OSError) -> StoreFailed:
    """Say why `path` can't be written."""
    told = private_files.refused(path, error)
    return StoreFailed(told.message, remedy=told.remedy)


@contextmanager
def _the_stores() -> Generator[None]:
    try:
        yield
    except (Invalid, Unavailable) as error:
        raise StoreFailed(error.message, remedy=error.remedy) from error
