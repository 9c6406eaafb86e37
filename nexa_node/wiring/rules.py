"""`python -m nexa_node rules check|test`: rule files looked at without a node.

Exit codes: 0 all is well, 1 a fault was found, 2 the call itself is wrong. What a
selector can't match is a warning and changes no exit code, unless `--strict` asks.
"""

import argparse
import importlib.resources
import sys
from pathlib import Path

import msgspec

from nexa_node.core.alerting.linting import Doubt, catalogue, lint
from nexa_node.core.alerting.rehearsal import playing, script
from nexa_node.core.alerting.rules import FILE_MAX, Group, RuleError, load
from nexa_node.core.alerting.ruling import unreachable

BUILTIN = "builtin"


class Said(msgspec.Struct, frozen=True):
    """A fault or a warning, and where."""

    file: str
    line: int
    message: str
    rule: str = ""

    def __str__(self) -> str:
        """As compilers say it."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {f'{self.rule}: ' if self.rule else ''}{self.message}"


class Verdict(msgspec.Struct, frozen=True):
    """What came of looking at some files."""

    ok: bool
    files: tuple[str, ...]
    rules: int = 0
    tests: int = 0
    faults: tuple[Said, ...] = ()
    warnings: tuple[Said, ...] = ()


def main(arguments: list[str]) -> int:
    """Check or test files; answer the exit code."""
    parser = argparse.ArgumentParser(prog="nexa rules", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    check_parser = verbs.add_parser("check", allow_abbrev=False)
    check_parser.add_argument("--strict", action="store_true")
    for each in (check_parser, verbs.add_parser("test", allow_abbrev=False)):
        each.add_argument("files", nargs="+", metavar="FILE")
        each.add_argument("--json", action="store_true")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    if options.verb == "check":
        verdict = check(options.files, strict=options.strict)
    else:
        verdict = rehearse(options.files)
    _tell(verdict, json=options.json)
    return 0 if verdict.ok else 1


def check(files: list[str], *, strict: bool = False) -> Verdict:
    """Read rule files as a node would, and say what is wrong or can't work."""
    groups: list[Group] = []
    faults: list[Said] = []
    for file in files:
        try:
            groups += load(_read(file), file=file)
        except RuleError as error:
            faults.append(_said(error))
    warnings = [
        Said(one.file, one.line, one.message, one.rule) for one in doubts(groups)
    ]
    warnings += [Said("", 0, text) for text in unreachable(groups)]
    return Verdict(
        ok=not faults and not (strict and warnings),
        files=tuple(files),
        rules=sum(len(group.rules) for group in groups),
        faults=tuple(faults),
        warnings=tuple(warnings),
    )


def doubts(groups: list[Group]) -> tuple[Doubt, ...]:
    """Selectors that match nothing; what nexa's own rules record counts as there."""
    own = load(_packaged("builtin.yaml"), file=BUILTIN)
    known = catalogue(_packaged("catalogue.txt"))
    found = lint([*own, *groups], known)
    files = {group.file for group in groups}
    return tuple(one for one in found if one.file in files)


def rehearse(files: list[str]) -> Verdict:
    """Play test files of rules."""
    faults: list[Said] = []
    played = rules = 0
    for file in files:
        try:
            told = script.load(_read(file), file=file)
            groups = [
                group
                for name in told.rule_files
                for path in _meant(Path(file).parent, name)
                for group in load(_read(path), file=path)
            ]
            rules += sum(len(group.rules) for group in groups)
            for test in told.tests:
                played += 1
                faults += [
                    Said(file, miss.line, miss.message, test.name)
                    for miss in playing.play(told, test, groups, file=file)
                ]
        except RuleError as error:
            faults.append(_said(error))
    return Verdict(
        ok=not faults,
        files=tuple(files),
        rules=rules,
        tests=played,
        faults=tuple(faults),
    )


def _meant(folder: Path, name: str) -> list[str]:
    """The files of an entry of `rule_files`; one that is none stays, to be told."""
    found = sorted(folder.glob(name)) if not Path(name).is_absolute() else []
    return [str(path) for path in found] or [str(folder / name)]


def _read(file: str) -> str:
    try:
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(FILE_MAX + 1)
    except OSError as error:
        said = error.strerror or "it can't be read"
        raise RuleError(said, file=file, line=0) from None
    except UnicodeDecodeError:
        raise RuleError("it is no UTF-8 text", file=file, line=0) from None


def _packaged(name: str) -> str:
    source = importlib.resources.files("nexa_node").joinpath("rules", name)
    return source.read_text(encoding="utf-8")


def _said(error: RuleError) -> Said:
    return Said(error.file, error.line, error.message, error.rule)


def _tell(verdict: Verdict, *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n")
        return
    for fault in verdict.faults:
        sys.stdout.write(_clean(str(fault)) + "\n")
    for warning in verdict.warnings:
        sys.stdout.write(_clean(f"warning: {warning}") + "\n")
    what = f"{verdict.rules} rules" + (
        f", {verdict.tests} tests" if verdict.tests else ""
    )
    count = len(verdict.faults)
    found = "no fault" if not count else f"{count} fault{'s' * (count > 1)}"
    sys.stdout.write(f"{what}: {found}\n")


def _clean(text: str) -> str:
    """Rules are foreign text: nothing of it steers the terminal."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text
    )
