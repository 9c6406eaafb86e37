"""`nexa selftest`: the splash's checks, printed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from nexa_node.contract.checks import GROUPS, CheckResult, SelfTest, verdict
from nexa_node.contract.errors import NexaError
from nexa_tui.client.discovery import Target, discover
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.output import EXIT_FAILED, Call, clean, state_style

_GLYPHS = {"pass": "✓", "warn": "!", "fail": "✗", "skipped": "-"}
_UNFINISHED = {"pending", "running"}


def run(arguments: list[str], call: Call) -> int:
    """Run all checks, or one; exit 1 if one fails."""
    parser = Parser(
        "selftest",
        "Run the self-test: on the node if one runs, in a trial node of its own if not.",
    )
    parser.add_argument("--node", "--attach", metavar="URL", dest="attach")
    parser.add_argument("--context", metavar="NAME")
    parser.add_argument("--only", metavar="ID", help="one check: node.store")
    parser.add_argument(
        "--local", action="store_true", help="here, even if a node runs"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)
    target = None
    if not options.local:
        target = discover(call.environ, context=options.context, attach=options.attach)
    started, began = datetime.now(UTC), time.monotonic()
    results = (
        _here(call, options.only) if target is None else _there(target, options.only)
    )
    checks = _collect(results, call, quiet=options.json)
    done = SelfTest(
        status=verdict(checks),
        started=started,
        duration_ms=(time.monotonic() - began) * 1000,
        checks=tuple(checks),
    )
    if options.json:
        call.json(done)
    else:
        _sum_up(done, call)
    return EXIT_FAILED if done.status == "fail" else 0


def _there(target: Target, only: str | None) -> Iterator[CheckResult]:
    with Rest(target) as node:
        yield from node.stream("/v1/selftest", CheckResult, query={"only": only})


def _here(call: Call, only: str | None) -> Iterator[CheckResult]:
    words = [sys.executable, "-m", "nexa_node", "check"]
    if only:
        words += ["--only", only]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(call.environ)
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        found = False
        for line in child.stdout:
            found = True
            yield msgspec.json.decode(line, type=CheckResult)
        said = child.stderr.read().decode(errors="replace").strip()
    if not found:
        last = said.splitlines()[-1] if said else f"exit code {child.returncode}"
        raise NexaError(
            f"the self-test could not run: {last}", remedy="nexa config validate"
        )


def _collect(
    results: Iterator[CheckResult], call: Call, *, quiet: bool
) -> list[CheckResult]:
    """Keep the last word of each check, in the order of the groups."""
    order: dict[str, CheckResult] = {}
    for result in results:
        order[result.id] = result
        if not quiet and result.status not in _UNFINISHED:
            _print(result, call)
    return sorted(order.values(), key=lambda check: GROUPS.index(check.group))


def _print(check: CheckResult, call: Call) -> None:
    glyph = _GLYPHS[check.status]
    took = "" if check.duration_ms is None else f"{check.duration_ms:7.0f} ms"
    word = call.paint(f"{glyph} {check.status:<8}", state_style(check.status))
    where = f"{check.group}: {clean(check.title)}"
    call.line(
        f"{word}{where:<44}{took:>11}   {clean(check.detail or '', 300)}".rstrip()
    )
    if check.cause and check.status in {"warn", "fail"}:
        call.line(f"          why   {clean(check.cause, 400)}")
    if check.remedy and check.status in {"warn", "fail"}:
        call.line(f"          mend  {clean(check.remedy, 400)}")
    call.out.flush()


def _sum_up(done: SelfTest, call: Call) -> None:
    count = {
        status: sum(check.status == status for check in done.checks)
        for status in _GLYPHS
    }
    words = ", ".join(
        f"{number} {status}" for status, number in count.items() if number
    )
    call.line()
    text = f"{done.status}: {words} in {done.duration_ms / 1000:.1f} s"
    call.line(text, state_style(done.status))
