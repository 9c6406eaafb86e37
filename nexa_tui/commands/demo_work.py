"""What the demo's agents run: a small program over a real file, of a chosen speed.

Reads a task from standard input as any agent's program does, writes its result as JSON.
The delay stands for a slower machine or model; the work itself is real.
"""

import hashlib
import json  # runs alone, without nexa or msgspec
import sys
import time
import zlib
from pathlib import Path
from typing import Any


def words(content: bytes) -> dict[str, Any]:
    """Count words and lines."""
    return {"words": len(content.split()), "lines": content.count(b"\n")}


def digest(content: bytes) -> dict[str, Any]:
    """Hash."""
    return {"sha256": hashlib.sha256(content).hexdigest()}


def compress(content: bytes) -> dict[str, Any]:
    """Measure how well it packs."""
    packed = len(zlib.compress(content, 9))
    return {
        "bytes": len(content),
        "packed": packed,
        "ratio": round(packed / len(content), 3),
    }


def longest(content: bytes) -> dict[str, Any]:
    """Find the longest line."""
    line = max(content.decode(errors="replace").splitlines(), key=len)
    return {"length": len(line), "line": line.strip()[:60]}


def main() -> None:
    """Do one task."""
    task = json.load(sys.stdin)
    does = {"words": words, "digest": digest, "compress": compress, "longest": longest}
    content = Path(task["data"]["path"]).read_bytes()
    time.sleep(float(sys.argv[1]))
    json.dump(does[task["type"]](content), sys.stdout)


if __name__ == "__main__":
    main()
