"""Write `screenshots/` from the scenes: SVG, and PNG where Debian's chromium is.

    python -m tests.tui.make_screenshots [SCENE …]

The pictures name no font of another host: whoever looks at one asks nobody else for it.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "screenshots"
PICTURES: tuple[tuple[str, tuple[int, int], str], ...] = (
    ("splash-running", (100, 34), "nexa-dark"),
    ("splash-fail", (100, 34), "nexa-dark"),
    ("overview", (120, 40), "nexa-dark"),
    ("overview", (120, 40), "nexa-light"),
    ("overview", (80, 24), "nexa-dark"),
    ("overview", (200, 60), "nexa-dark"),
    ("overview-empty", (80, 24), "nexa-dark"),
    ("overview-degraded", (120, 40), "nexa-dark"),
    ("overview-alerts", (120, 40), "nexa-dark"),
    ("overview-alerts", (80, 24), "nexa-dark"),
    ("overview-lost", (120, 40), "nexa-dark"),
    ("agents", (120, 40), "nexa-dark"),
    ("nodes", (120, 40), "nexa-dark"),
    ("nodes-one", (80, 24), "nexa-dark"),
    ("nodes-no-quorum", (80, 24), "nexa-dark"),
    ("nodes-seven", (120, 40), "nexa-dark"),
    ("nodes-fifty", (200, 60), "nexa-dark"),
    ("node", (120, 40), "nexa-dark"),
    ("tasks", (120, 40), "nexa-dark"),
    ("task", (120, 40), "nexa-dark"),
    ("alerts", (120, 40), "nexa-dark"),
    ("alerts", (80, 24), "nexa-dark"),
    ("alert", (120, 40), "nexa-dark"),
    ("alert-ack", (80, 24), "nexa-dark"),
    ("alert-silence", (120, 40), "nexa-dark"),
    ("silences", (80, 24), "nexa-dark"),
    ("alert-history", (80, 24), "nexa-dark"),
    ("rules", (120, 40), "nexa-dark"),
    ("audit", (120, 40), "nexa-dark"),
    ("messages", (120, 40), "nexa-dark"),
    ("messages", (80, 24), "nexa-dark"),
    ("message", (120, 40), "nexa-dark"),
    ("dead-letters", (120, 40), "nexa-dark"),
    ("logs", (120, 40), "nexa-dark"),
    ("logs", (80, 24), "nexa-dark"),
    ("logs", (200, 60), "nexa-dark"),
    ("log-line", (120, 40), "nexa-dark"),
    ("metrics", (120, 40), "nexa-dark"),
    ("metrics", (80, 24), "nexa-dark"),
    ("metrics", (200, 60), "nexa-dark"),
    ("metrics-hair", (120, 40), "nexa-dark"),
    ("help", (120, 40), "nexa-dark"),
    ("palette", (80, 24), "nexa-dark"),
    ("cancel", (120, 40), "nexa-dark"),
    ("themes", (120, 40), "nexa-dark"),
)


async def picture(name: str, size: tuple[int, int], theme: str) -> Path:
    """Draw one scene and write it down."""
    from tests.tui.scenes import console, play

    app = console(name, theme=theme)
    async with app.run_test(size=size) as pilot:
        await play(pilot, name)
        path = FOLDER / f"{name}-{size[0]}x{size[1]}-{theme}.svg"
        svg = at_home(app.export_screenshot(title="nexa"))
        path.write_text(svg, encoding="utf-8")
    return path


def at_home(svg: str) -> str:
    """Leave out fonts that would be fetched, and keep spaces as they are."""
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    svg = svg.replace("Fira Code", "DejaVu Sans Mono")
    return svg.replace("<svg ", '<svg xml:space="preserve" ', 1)


def png(path: Path) -> None:
    """Draw an SVG with a browser: it alone spaces the letters as a terminal does."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', path.read_text())
    assert box is not None
    size = f"{int(float(box[1])) + 1},{int(float(box[2])) + 1}"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(
            "<style>body{margin:0;background:#000}svg{display:block}</style>"
            + path.read_text(),
            encoding="utf-8",
        )
        words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu"]
        words += ["--disable-quic", "--no-first-run", "--disable-background-networking"]
        words += ["--disable-component-update", "--disable-sync", "--hide-scrollbars"]
        words += [f"--user-data-dir={folder}/profile", f"--window-size={size}"]
        words += [f"--screenshot={path.with_suffix('.png')}", page.as_uri()]
        subprocess.run(words, check=True, capture_output=True, timeout=60)


async def main(wanted: list[str]) -> None:
    """Draw them all, or those of some scenes."""
    FOLDER.mkdir(exist_ok=True)
    for name, size, theme in PICTURES:
        if wanted and name not in wanted:
            continue
        path = await picture(name, size, theme)
        if shutil.which("chromium"):
            png(path)
        print(path.name)


if __name__ == "__main__":
    for variable in ("NO_COLOR", "TEXTUAL_THEME"):
        os.environ.pop(variable, None)
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    asyncio.run(main(sys.argv[1:]))
