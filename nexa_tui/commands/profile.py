"""`nexa profile`: where a node spends its CPU time."""

from collections import Counter
from pathlib import Path
from urllib.parse import quote

from nexa_node.contract.nodes import NewProfile, Profile
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, Usage, seconds
from nexa_tui.commands.output import Call, clean
from nexa_tui.commands.reach import add_target_options, reach

_ROWS = 25


def run(arguments: list[str], call: Call) -> int:
    """Have a node look at itself, and tell what it found."""
    parser = Parser(
        "profile",
        "Look where a node spends its CPU time; it goes on working meanwhile. SELF is the\n"
        "share in a function itself, TOTAL with all that it calls.",
    )
    parser.add_argument("node", metavar="NODE", help="its name or its id")
    parser.add_argument(
        "--cpu",
        metavar="SPAN",
        type=seconds,
        default=5.0,
        help="how long, 0.1 to 60 seconds: 5s (default)",
    )
    parser.add_argument(
        "--folded",
        metavar="FILE",
        type=Path,
        help="write stacks one a line, for flame graphs (speedscope, flamegraph.pl)",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    if not 0.1 <= options.cpu <= 60:
        raise Usage(
            f"--cpu {options.cpu:g} is not from 0.1 to 60 seconds",
            remedy="nexa profile NODE --cpu 5s",
        )
    with reach(options, call) as node:
        if not options.json:
            call.note(f"looking for {options.cpu:g} s …")
        found = _ask(node, options.node, options.cpu)
    if options.folded is not None:
        options.folded.write_text(folded(found), encoding="utf-8")
    if options.json:
        call.json(found)
        return 0
    share = found.cpu_s / found.seconds if found.seconds else 0.0
    call.line(
        f"{clean(found.node)}: {found.cpu_s:.2f} s of CPU in {found.seconds:.1f} s"
        f" ({share:.1%} of a core), {found.samples} samples"
    )
    call.table(
        ("SELF", "TOTAL", "FUNCTION"),
        [
            (f"{own:.1%}", f"{total:.1%}", clean(name, 100))
            for name, own, total in hottest(found)[:_ROWS]
        ],
        empty="it used no CPU that could be seen. Look longer: --cpu 30s",
    )
    if options.folded is not None:
        call.note(f"wrote {options.folded}")
    return 0


def _ask(rest: Rest, node: str, cpu_s: float) -> Profile:
    return rest.post(
        f"/v1/nodes/{quote(node, safe='')}/profile",
        Profile,
        body=NewProfile(cpu_s=cpu_s),
        wait_s=cpu_s,
    )


def hottest(found: Profile) -> list[tuple[str, float, float]]:
    """Functions with their own share of all samples and with what they call.

    Returns:
        Name, own share and total share, 0 to 1 each; the largest own share first.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack in found.stacks:
        if stack.frames:
            own[stack.frames[-1]] += stack.samples
        for frame in set(stack.frames):
            total[frame] += stack.samples
    whole = max(1, found.samples)
    names = sorted(total, key=lambda name: (-own[name], -total[name], name))
    return [(name, own[name] / whole, total[name] / whole) for name in names]


def folded(found: Profile) -> str:
    """One stack a line: its functions from the outermost, `;` between them, its samples."""
    return "".join(
        ";".join(clean(frame, 200).replace(";", ",") for frame in stack.frames)
        + f" {stack.samples}\n"
        for stack in found.stacks
    )
