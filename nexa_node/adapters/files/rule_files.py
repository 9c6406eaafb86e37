"""The operator's rule files: `config/rules/*.yaml` and `*.yml`."""

from pathlib import Path

from nexa_node.ports import RuleFile

FILES_MAX = 200
BYTES_MAX = 1024 * 1024
_ENDINGS = (".yaml", ".yml")


class FolderRuleFiles:
    """`ports.RuleFiles` over one folder; without the folder there are none."""

    def __init__(self, folder: Path) -> None:
        """Read `folder` when asked."""
        self._folder = folder

    def stamp(self) -> object:
        """Names, sizes and times of all files."""
        found: list[tuple[str, int, int, int]] = []
        for path in self._paths():
            try:
                seen = path.stat()
            except OSError:
                found.append((path.name, -1, -1, -1))
                continue
            found.append((path.name, seen.st_size, seen.st_mtime_ns, seen.st_ino))
        return found

    def read(self) -> tuple[RuleFile, ...]:
        """All of them, by name; what can't be read says why."""
        return tuple(_read(path) for path in self._paths())

    def _paths(self) -> list[Path]:
        try:
            paths = [path for path in self._folder.iterdir() if path.suffix in _ENDINGS]
        except OSError:
            return []
        return sorted(paths)[:FILES_MAX]


def _read(path: Path) -> RuleFile:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        return RuleFile(path.name, content.decode())
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return RuleFile(path.name, "", f"it can't be read: {why}")
