"""`python -m nexa_node runbook NAME`: a runbook, read from the package, without a node.

Exit codes: 0 there it is, 1 there is none of that name, 2 the call itself is wrong.
"""

import argparse
import sys
from difflib import get_close_matches

from nexa_node.adapters.files.runbooks import names, runbook


def main(arguments: list[str]) -> int:
    """Write a runbook; answer the exit code."""
    parser = argparse.ArgumentParser(prog="nexa alerts runbook", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME")
    try:
        name = str(parser.parse_args(arguments).name)
    except SystemExit as ended:
        return int(ended.code or 0)
    text = runbook(name)
    if text:
        sys.stdout.write(text)
        return 0
    like = get_close_matches(name, names(), n=1, cutoff=0.6)
    hint = f"; did you mean {like[0]}?" if like else ""
    sys.stderr.write(f"there is no runbook {name[:100]!a}{hint}\n")
    return 1
