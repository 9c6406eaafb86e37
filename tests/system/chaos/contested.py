"""What several change at once: locks have one holder, registers one order. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tests.system.chaos.evidence import Evidence, by_key
from tests.system.chaos.history import Op
from tests.system.chaos.linear import (
    Verdict,
    check_all,
    early_register,
    register,
)
from tests.system.crashes.checker import Violation

EVIDENCE = 12
"""Lines of a history that are shown of what can't be explained: the last ones."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """A time in which somebody was sure to have a lock."""

    client: str
    token: int
    begins: float
    ends: float


def tenures(ops: Sequence[Op], lease_s: float) -> list[Tenure]:
    """From an acquisition's answer until the lease is given back or may be over."""
    found: list[Tenure] = []
    holding: dict[str, Tenure] = {}
    for op in sorted(ops, key=lambda one: one.invoked):
        held = holding.get(op.client)
        if op.kind == "lock.acquire" and op.outcome == "ok" and op.answer is not None:
            assert op.returned is not None
            if held is not None:  # it forgot that it has it, and took it anew
                found.append(replace(held, ends=min(held.ends, op.invoked)))
            ends = op.invoked + lease_s
            holding[op.client] = Tenure(op.client, int(op.answer), op.returned, ends)
        elif held is None:
            continue
        elif op.kind == "lock.renew" and op.outcome == "ok":
            holding[op.client] = replace(held, ends=op.invoked + lease_s)
        elif op.kind == "lock.release" or op.outcome == "failed":
            found.append(replace(held, ends=min(held.ends, op.invoked)))
            del holding[op.client]
    return sorted([*found, *holding.values()], key=lambda one: one.begins)


def locks(evidence: Evidence) -> Iterator[Violation]:
    """One holder at a time, and each under a higher token than the one before."""
    for key, ops in by_key(o for o in evidence.ops if o.kind[:5] == "lock.").items():
        found = [one for one in tenures(ops, evidence.lease_s) if one.begins < one.ends]
        for at, one in enumerate(found):
            for other in found[at + 1 :]:
                if other.begins >= one.ends:
                    break
                if other.client != one.client:
                    yield Violation("two_holders", key, f"{one} and {other}")
        for before, after in pairwise(found):
            if after.token <= before.token:
                yield Violation("fence", key, f"{after} came after {before}")


def registers(evidence: Evidence) -> Iterator[Violation]:
    """Reads, writes and swaps of each register happen in one order that explains all.

    If only reads from before all was healed can't be explained, that is another finding,
    `stale_read`: somebody was answered from a copy that had been left behind. That a swap is refused a moment before
    the one that won can be read is none (see `early_register`); `weaknesses` counts it.
    """
    ops = register_ops(evidence)
    sure = [op for op in ops if not is_read(op) or op.invoked >= evidence.healed]
    torn = {one.key: one for one in _violated(sure)}
    for whole in _violated(ops):
        verdict = torn.get(whole.key, whole)
        kind = "not_linearizable" if whole.key in torn else "stale_read"
        lines = "\n    ".join(str(op) for op in verdict.evidence[-EVIDENCE:])
        hidden = max(0, len(verdict.evidence) - EVIDENCE)
        words = f"can't be explained ({hidden} calls before these):\n    {lines}"
        yield Violation(kind, verdict.key, words)


def weaknesses(evidence: Evidence) -> dict[str, list[str]]:
    """Registers that are not violated, and yet not as good as they could be.

    `undecided`: the search was given up, nothing is proven. `early`: a swap was refused
    before the one that won could be read.
    """
    ops = register_ops(evidence)
    weak = {one.key: one.answer for one in check_all(ops, None, early_register)}
    strict = {one.key: one.answer for one in check_all(ops, None, register)}
    return {
        "undecided": [key for key, answer in weak.items() if answer == "undecided"],
        "early": [
            key
            for key, answer in strict.items()
            if answer == "violated" and weak[key] == "linearizable"
        ],
    }


def register_ops(evidence: Evidence) -> list[Op]:
    """The registers' history; JSON has no tuples, so they are made here."""
    return [
        replace(op, asked=tuple(op.asked)) if isinstance(op.asked, list) else op
        for op in evidence.ops
        if op.kind.startswith("register.")
    ]


def is_read(op: Op) -> bool:
    return op.kind == "register.read"


def _violated(ops: Iterable[Op]) -> list[Verdict]:
    found = check_all(ops, None, early_register)
    return [one for one in found if one.answer == "violated"]
