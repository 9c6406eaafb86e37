"""`python -m nexa_node run|check|config|rules|runbook`: the node, and what needs none."""

import sys


def main(arguments: list[str]) -> int:
    """Do one of the verbs; answer its exit code."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb == "run":
        from nexa_node.wiring.run import main as run

        return run(rest)
    if verb == "check":
        from nexa_node.wiring.check import main as check

        return check(rest)
    if verb == "config":
        from nexa_node.wiring.config import main as config

        return config(rest)
    if verb == "rules":
        from nexa_node.wiring.rules import main as rules

        return rules(rest)
    if verb == "runbook":
        from nexa_node.wiring.runbooks import main as runbook

        return runbook(rest)
    sys.stderr.write("usage: python -m nexa_node run|check|config|rules|runbook\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
