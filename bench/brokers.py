"""Redis and nats-server, for peers: each in a folder of its own."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import free_port, listens, process, wait_until


def redis_program() -> str:
    """redis-server; installed by apt if there is none, this is a Debian and we may.

    Raises:
        SystemExit: There is none.
    """
    found = shutil.which("redis-server")
    if found is None and os.getuid() == 0 and shutil.which("apt-get"):
        environ = {
            **os.environ,
            "DEBIAN_FRONTEND": "noninteractive",
            "RUNLEVEL": "1",  # don't start what is installed
        }
        with (Path(tempfile.gettempdir()) / "nexa-bench-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for words in (["update"], ["install", "-y", "--no-install-recommends"]):
                packages = ["redis-server"] if words[0] == "install" else []
                command = ["apt-get", "-q", *words, *packages]
                subprocess.run(command, env=environ, capture_output=True, check=False)
        found = shutil.which("redis-server")
    if found is None:
        raise SystemExit("redis-server is missing: apt-get install redis-server")
    return found


@contextmanager
def running_redis(folder: Path, *, synced: bool) -> Iterator[tuple[str, int]]:
    """A Redis; its URL and its pid.

    Args:
        folder: For its data.
        synced: Append each write to a file and sync it before it is answered; otherwise
            as it comes: no such file, a snapshot now and then.
    """
    port = free_port()
    command = [redis_program(), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--dir", str(folder)]
    if synced:
        command += ["--appendonly", "yes", "--appendfsync", "always"]
    with process(command, environ=os.environ, folder=folder) as started:
        wait_until(lambda: listens(port), "redis-server", folder / "output.log")
        yield f"redis://127.0.0.1:{port}", started.pid


@contextmanager
def running_nats(folder: Path) -> Iterator[tuple[str, int]]:
    """The nats-server that a node would start, with every write synced as there."""
    port = free_port()
    conf = folder / "nats.conf"
    conf.write_text(
        f'listen: "127.0.0.1:{port}"\n'
        f"jetstream {{ store_dir: {json.dumps(str(folder))}, sync_interval: always\n"
        # Each result that taskiq-nats reads leaves a consumer for five seconds; with
        # the default of 1000 it fails at 100 results a second.
        "  limits: { default_max_consumers: 100000 } }\n"
    )
    program = str(Path(sys.executable).with_name("nats-server"))
    command = [program, "-c", str(conf)]
    with process(command, environ=os.environ, folder=folder) as started:
        wait_until(lambda: listens(port), "nats-server", folder / "output.log")
        yield f"nats://127.0.0.1:{port}", started.pid
