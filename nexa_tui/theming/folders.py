"""Where themes lie: the operator's folders first, then our own."""

import re
from collections.abc import Iterator
from pathlib import Path

from nexa_tui.theming.look import DEFAULT_THEME, Look
from nexa_tui.theming.reading import ThemeProblem, read_look

_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")


class Themes:
    """The themes there are: our own, and those in the operator's folder.

    A file in the operator's folder goes before one of ours with the same name.
    """

    def __init__(self, *folders: Path) -> None:
        """Look in `folders`, the first match wins; a missing folder holds nothing."""
        self._folders = (*folders, packaged_folder())

    def names(self) -> tuple[str, ...]:
        """Every theme there is, by file name; nothing is read yet."""
        found = {path.stem for path in self._files()}
        return tuple(sorted(found, key=lambda name: (name != DEFAULT_THEME, name)))

    def find(self, name: str) -> Path | None:
        """The file of a theme, or None."""
        if not _NAME.match(name):
            return None
        for folder in self._folders:
            path = folder / f"{name}.toml"
            if path.is_file():
                return path
        return None

    def load(self, name: str) -> Look:
        """Read one theme.

        Raises:
            ThemeProblem: If there is none of that name, or its file is not right.
        """
        path = self.find(name)
        if path is None:
            raise ThemeProblem(
                name, 0, f"no such theme; there are {', '.join(self.names())}"
            )
        return read_look(path, self)

    def problems(self) -> tuple[ThemeProblem, ...]:
        """Read every theme and tell all that is wrong."""
        found: list[ThemeProblem] = []
        for name in self.names():
            try:
                self.load(name)
            except ThemeProblem as problem:
                found.append(problem)
        return tuple(found)

    def stamp(self, name: str) -> int | None:
        """Something that differs once the theme's file was written again."""
        path = self.find(name)
        try:
            return None if path is None else path.stat().st_mtime_ns
        except OSError:
            return None

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            if folder.is_dir():
                yield from (p for p in folder.glob("*.toml") if _NAME.match(p.stem))


def packaged_folder() -> Path:
    """Where our own themes are: beside this module, or beside the checkout's package."""
    here = Path(__file__).parents[1]
    inside = here / "themes"
    return inside if inside.is_dir() else here.parent / "themes"
