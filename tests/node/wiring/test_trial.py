"""The trial node, and what killed ones leave."""

import os
import time
from pathlib import Path

from nexa_node.adapters.files.node_folder import NodeFolder
from nexa_node.wiring.trial import OLD_S, PREFIX, sweep


def made(folder: Path, name: str, *, age_s: float) -> Path:
    trial = folder / f"{PREFIX}{name}"
    (trial / "trial" / "jetstream").mkdir(parents=True)
    os.utime(trial, (time.time() - age_s, time.time() - age_s))
    return trial


def test_only_what_nobody_uses_is_swept(tmp_path: Path) -> None:
    left = made(tmp_path, "left", age_s=2 * OLD_S)
    young = made(tmp_path, "young", age_s=0)
    used = made(tmp_path, "used", age_s=2 * OLD_S)
    other = tmp_path / "other"
    other.mkdir()
    with NodeFolder(used / "trial"):
        os.utime(used, (time.time() - 2 * OLD_S,) * 2)
        sweep(tmp_path, now=time.time())

    assert not left.exists()
    assert young.exists()
    assert used.exists()
    assert other.exists()
