"""What may go wrong with the store itself, each with its cause and what mends it.

Unavailable
 └ StoreFailed
    ├ BinaryMissing  BinaryTooOld  BinaryAltered
    ├ StoreDamaged
    ├ PortRefused
    └ DiskFull
"""

from pathlib import Path

from nexa_node.contract.errors import NexaError, Unavailable

RECORD_NAME = "nexa-store.json"
"""In the store's folder: which streams there were, and how far each had come."""


class StoreFailed(Unavailable):
    """The store can't be opened. Trying the same again changes nothing."""

    retryable = False


class BinaryMissing(StoreFailed):
    """There is no nats-server to start."""


class BinaryTooOld(StoreFailed):
    """This nats-server is older than the oldest that is safe."""


class BinaryAltered(StoreFailed):
    """This nats-server is not the file whose SHA-256 is known."""


class PortRefused(StoreFailed):
    """No port on loopback could be had."""


class DiskFull(StoreFailed):
    """There is no space for the store; once there is, the same call succeeds."""

    retryable = True


class StoreDamaged(StoreFailed):
    """Data that was acknowledged is not there any more."""


def damaged(folder: Path, what: str) -> StoreDamaged:
    """Say what is damaged in `folder`, and the two ways out."""
    return StoreDamaged(
        f"the store in {folder} is damaged: {what}",
        remedy=(
            f"restore {folder} from a backup; or begin anew: mv {folder} "
            f"{folder}.damaged; or go on with what is left: "
            f"rm {folder / RECORD_NAME}"
        ),
    )


def afresh(error: NexaError) -> NexaError:
    """Copy `error` to be raised once more: a raised one keeps every traceback."""
    return type(error)(error.message, remedy=error.remedy)
