"""A trial node: a whole node in a throw-away folder, for the self-test to look at."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from nexa_node.adapters.asgi.server import bind, url_of
from nexa_node.adapters.files.config import Loaded
from nexa_node.adapters.files.node_folder import Identity, NodeFolder
from nexa_node.adapters.host.clock import SystemClock
from nexa_node.contract.errors import NexaError
from nexa_node.core.policies import StorePolicy
from nexa_node.wiring.checks import Asked
from nexa_node.wiring.place import Place
from nexa_node.wiring.running import running

PREFIX = "nexa-trial-"
OLD_S = 60.0
"""A folder younger than that may belong to a trial that only starts."""


def sweep(temporary: Path, *, now: float) -> None:
    """Remove what trials left that were killed: folders of ours that nobody locks."""
    for folder in temporary.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, NexaError):
            found = folder.lstat()
            if found.st_uid != os.getuid() or now - found.st_mtime < OLD_S:
                continue
            with NodeFolder(folder / "trial"):
                pass
            shutil.rmtree(folder)


@asynccontextmanager
async def trial_node(loaded: Loaded) -> AsyncGenerator[Asked]:
    """Run a node on a free port of loopback; on leaving nothing of it is left."""
    sweep(Path(tempfile.gettempdir()), now=SystemClock().now().timestamp())
    with tempfile.TemporaryDirectory(prefix=PREFIX) as home:
        node = msgspec.structs.replace(
            loaded.settings.node, host="127.0.0.1", port=0, name="trial"
        )
        # A trial node must not be one of the nodes of a NATS that others use.
        own = loaded.settings.store
        store = StorePolicy() if own.mode == "attached" else own
        settings = msgspec.structs.replace(
            loaded.settings, node=node, checks=(), store=store
        )
        sock = bind("127.0.0.1", 0)
        with NodeFolder(Path(home) / "trial") as folder, sock:
            place = Place(
                folder=folder,
                identity=Identity(id=secrets.token_hex(13), name="trial"),
                url=url_of(sock, secure=settings.tls.mode == "on"),
                state=Path(home),
                loaded=Loaded(settings, {}, loaded.path, exists=False),
                started=SystemClock().now(),
            )
            async with running(place, sock) as composition:
                composition.condition.enter("running")
                yield await composition.asked()
