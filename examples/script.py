"""A script that gives out work and gathers the results, without an event loop."""

import argparse
from pathlib import Path

from nexa_node.agent.blocking import Cluster


def main() -> None:
    """Submit all, then wait for each: the agents work meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument(
        "--type", default="count", help="the capability that is asked for"
    )
    options = parser.parse_args()
    with Cluster() as nexa:
        submitted = {
            path: nexa.submit(options.type, path.read_text()) for path in options.files
        }
        for path, task in submitted.items():
            done = nexa.result(task.id)
            print(path, done.status, done.result or done.error)


if __name__ == "__main__":
    main()
