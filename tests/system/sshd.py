"""A real OpenSSH server on loopback, for this user alone, with keys of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.debian import install
from tests.system.conftest import until

_PROGRAM = "/usr/sbin/sshd"
_SEPARATION = Path("/run/sshd")
"""Where a server of root's wants an empty folder; Debian's service makes it."""
_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
PrintMotd no
ClientAliveInterval 1
ClientAliveCountMax 3
"""


@dataclass(frozen=True)
class Server:
    """Where it listens, and who may come in."""

    folder: Path
    port: int
    pid: int

    def command(self, words: str, *options: str) -> list[str]:
        """How to run `words` over it, in a terminal as a person has it."""
        return [
            "ssh", "-tt", "-F", "none", "-p", str(self.port),
            "-i", str(self.folder / "user"),
            "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
            "-o", "StrictHostKeyChecking=yes",
            "-o", f"UserKnownHostsFile={self.folder / 'known'}",
            "-o", "LogLevel=ERROR", *options, "127.0.0.1", words,
        ]  # fmt: skip


def there() -> bool:
    """Whether there is one on this machine; it is installed if we may."""
    if not Path(_PROGRAM).exists() and not install("openssh-server"):
        return False
    return shutil.which("ssh") is not None


@contextmanager
def serving(folder: Path) -> Generator[Server]:
    """Serve; it and its sessions are gone afterwards."""
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
            check=True,
        )
    if os.getuid() == 0:
        _SEPARATION.mkdir(mode=0o755, exist_ok=True)
    port = _free_port()
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(key)}\n")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [_PROGRAM, "-D", "-e", "-f", str(folder / "config")], stderr=log
        )
    try:
        until(
            lambda: "listening" in (folder / "log").read_text() or process.poll(),
            "sshd listens",
        )
        assert process.poll() is None, (folder / "log").read_text()
        yield Server(folder, port, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def spelled(environ: Mapping[str, str], *words: str) -> str:
    """A shell's words that run a program in this environment."""
    return " ".join(
        ["exec", "env", *(f"'{key}={value}'" for key, value in environ.items()), *words]
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
