"""A node in a folder that is removed afterwards, and environments for peers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def nexa() -> list[str]:
    """The installed program beside this interpreter, or else the module."""
    script = Path(sys.executable).with_name("nexa")
    return [str(script)] if script.exists() else [sys.executable, "-m", "nexa_tui"]


@dataclass(frozen=True)
class Node:
    """A running node."""

    url: str
    token: str
    environ: dict[str, str]
    """For commands and consoles that are to find it."""


def clean_environ(**more: str) -> dict[str, str]:
    """This environment without anybody's settings of nexa."""
    kept = {key: text for key, text in os.environ.items() if key[:5] != "NEXA_"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def running_node() -> Iterator[Node]:
    """Start a node; it and its folder are gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="nexa-bench-"))
    environ = clean_environ(NEXA_HOME=str(home))
    try:
        told = _nexa("node", "start", "--name", "bench", "--port", "0", environ=environ)
        folder = home / "state" / "node" / "bench"
        token = (folder / "admin.token").read_text().strip()
        yield Node(url=told["url"], token=token, environ=environ)
    finally:
        _nexa("node", "stop", environ=environ)
        shutil.rmtree(home, ignore_errors=True)


NEEDS = {
    # 0.26 ends posting with a segmentation fault: its grammars are built for older ones.
    "posting": ["tree-sitter<0.26"],
}


def peer(package: str, folder: Path) -> Path:
    """Install `package` into an environment of its own, once; its `bin` folder."""
    place = folder / package
    done = place / "installed"
    if not done.exists():
        print(f"installing {package} into {place}", file=sys.stderr, flush=True)
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-qq"]
        subprocess.run([*pip, package, *NEEDS.get(package, [])], check=True)
        # Compiled files, as a package that is in use has them.
        python = str(place / "bin" / "python")
        subprocess.run([python, "-m", "compileall", "-q", str(place)], check=False)
        done.touch()
    return place / "bin"


def _nexa(*words: str, environ: Mapping[str, str]) -> dict[str, str]:
    done = subprocess.run(
        [*nexa(), *words, "--json"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"nexa {' '.join(words)}: {done.stderr.strip()}")
    return json.loads(done.stdout)
