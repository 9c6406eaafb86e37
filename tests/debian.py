"""Servers that tests need and Debian has: installed once, if we may."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

LOCK = Path("/tmp/nexa-tests-apt.lock")


def install(package: str) -> bool:
    """Install `package` if this is a Debian and we are root; say whether it is there now.

    Workers take turns: apt has one lock, and the second one finds it done.
    """
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        return False
    environ = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",  # don't start what is installed
    }
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for words in (
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", package],
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", package],
        ):
            done = subprocess.run(words, env=environ, capture_output=True, check=False)
            if words[1] == "install" and done.returncode == 0:
                return True
    return False
