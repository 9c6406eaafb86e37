"""Rules of the house that no linter knows."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES_MAX = 600


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:  # an unpacked archive is no checkout
        return [path for pattern in patterns for path in ROOT.glob(f"**/{pattern}")]
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_no_module_outgrows_its_idea() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("nexa_node/**/*.py", "nexa_tui/**/*.py")
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }

    assert long == {}


def test_no_package_host_or_foreign_path_is_named() -> None:
    hosts = re.compile(
        "pythonhosted" r"\.org|//pypi" r"\.org|registry\.npm" r"js|deb\.debian" r"\.org"
    )
    named = [
        str(path.relative_to(ROOT))
        for path in tracked("*")
        if path.suffix in {".py", ".toml", ".md", ".txt", ".yml", ".yaml", ".sh", ""}
        and path.is_file()
        and hosts.search(path.read_text(errors="ignore"))
    ]

    assert named == []


def test_every_pinned_package_has_a_hash() -> None:
    for name in ("constraints.txt", "constraints-test.txt", "constraints-sslyze.txt"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9._-]+==", text, flags=re.MULTILINE | re.IGNORECASE)
        blocks = re.split(r"\n(?=[a-zA-Z0-9])", text)

        assert pins
        assert all("--hash=sha256:" in block for block in blocks if "==" in block)
