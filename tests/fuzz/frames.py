"""Fuzzing what strangers may send: the session machine, and the port under it.

    python -m tests.fuzz.frames --seconds 60                    both, guided by coverage
    python -m tests.fuzz.frames --target socket --engine atheris --seconds 600
    python -m tests.fuzz.frames --target session crash-1.txt    one input again

With `--keep`, inputs that reached something new are added to the corpus. A fault is
written to a file and told; the exit code is 1. `atheris` is used if it is installed
(`pip install atheris`; it needs no compiler on Linux), else a loop of our own.
"""

import argparse
import hashlib
import importlib
import importlib.util
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
PARTS = {
    "session": (
        "nexa_node/core/session.py",
        "nexa_node/core/rpc.py",
        "nexa_node/core/codec.py",
        "nexa_node/core/intake.py",
        "nexa_node/core/flow.py",
    ),
    "socket": (
        "nexa_node/adapters/asgi/",
        "uvicorn/protocols/websockets/websockets_sansio_impl.py",
        "uvicorn/protocols/http/h11_impl.py",
        "websockets/protocol.py",
        "websockets/server.py",
        "websockets/frames.py",
    ),
}
"""Whose lines count, by target."""
INSTRUMENTED = {
    "session": ["nexa_node.core"],
    "socket": ["nexa_node.adapters.asgi", "uvicorn.protocols", "websockets"],
}


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept, in order."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def runner(target: str) -> Any:
    """The target's `run`."""
    return importlib.import_module(f"tests.fuzz.{target}_target").run


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    if options.inputs:
        for path in options.inputs:
            runner(options.target)(path.read_bytes())
            print(f"{path}: no fault")
        return 0
    targets = list(PARTS) if options.target == "both" else [options.target]
    engine = options.engine
    if engine == "auto":
        engine = "atheris" if importlib.util.find_spec("atheris") else "own"
    share = options.seconds / len(targets)
    worst = 0
    for target in targets:
        if engine == "own":
            code = _own(target, share, options)
        elif len(targets) > 1:
            code = _apart(target, share, options)
        else:
            code = _atheris(target, share, options)
        worst = max(worst, code)
    return worst


def _own(target: str, seconds: float, options: argparse.Namespace) -> int:
    from tests.fuzz.guided import explore

    given = corpus(target)
    found = explore(
        runner(target), given, parts=PARTS[target], seconds=seconds, seed=options.seed
    )
    print(
        f"{target}: {found.runs:,} inputs, {found.edges:,} edges,"
        f" {len(found.news)} inputs found something new"
    )
    if options.keep:
        for data in found.news:
            _keep(target, data)
    if found.crash is None:
        return 0
    traceback.print_exception(found.error)
    path = options.crashes / f"crash-{target}-{_name(found.crash)}"
    path.write_bytes(found.crash)
    print(f"{target}: a fault; the input is in {path}")
    return 1


def _apart(target: str, seconds: float, options: argparse.Namespace) -> int:
    """libFuzzer ends its process, so each target has one."""
    words = ["--target", target, "--seconds", str(seconds), "--engine", "atheris"]
    words += ["--seed", str(options.seed), "--crashes", str(options.crashes)]
    words += ["--keep"] if options.keep else []
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.frames", *words], check=False
    ).returncode


def _atheris(target: str, seconds: float, options: argparse.Namespace) -> int:
    import random

    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED[target]):
        run = runner(target)
    from tests.fuzz.mutating import mutated

    known = corpus(target)

    def change(data: bytes, size: int, seed: int) -> bytes:
        if seed % 4 == 0:
            return atheris.Mutate(data, size)
        return mutated(random.Random(seed), data, known)[:size]

    folder = CORPUS / target if options.keep else Path(tempfile.mkdtemp())
    words = [
        "frames",
        f"-max_total_time={max(1, round(seconds))}",
        f"-seed={options.seed + 1}",
        f"-artifact_prefix={options.crashes}/crash-{target}-",
        "-max_len=20000",
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        str(folder),
        str(CORPUS / target),
    ]
    atheris.Setup(words, run, custom_mutator=change)
    atheris.Fuzz()
    return 0


def _keep(target: str, data: bytes) -> None:
    (CORPUS / target / _name(data)).write_bytes(data)


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.frames")
    parser.add_argument("--target", choices=(*PARTS, "both"), default="both")
    parser.add_argument("--engine", choices=("auto", "atheris", "own"), default="auto")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--crashes", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("inputs", type=Path, nargs="*")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
