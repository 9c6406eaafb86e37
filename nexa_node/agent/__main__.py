"""`python -m nexa_node.agent run …`, what `nexa agent run` becomes."""

import os
import sys

from nexa_node.agent.arguments import parse
from nexa_node.agent.narration import Narrator
from nexa_node.agent.program import EXIT_NOT_FOUND, EXIT_USAGE, run
from nexa_node.contract.errors import Invalid, NexaError, NotFound


def main(words: list[str]) -> int:
    """Be an agent until a signal; returns the exit code."""
    try:
        options = parse(words, os.environ)
    except NexaError as error:
        Narrator("", sys.stdout, sys.stderr, quiet=False, as_json=False).failure(error)
        return EXIT_NOT_FOUND if isinstance(error, NotFound) else EXIT_USAGE
    narrator = Narrator(
        options.id,
        sys.stdout,
        sys.stderr,
        quiet=options.quiet,
        as_json=options.json,
    )
    try:
        return run(options, narrator)
    except Invalid as error:
        narrator.failure(error)
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
