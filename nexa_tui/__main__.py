"""`nexa`: find the command's module and call it. Nothing else is imported before."""

import sys

EXIT_INTERRUPTED = 130
_TERMINATED_BY_PIPE = 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command and answer its exit code; never raises, never a traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    if given in (["--version"], ["-V"]):
        from nexa_node.contract.version import VERSION

        sys.stdout.write(f"nexa {VERSION}\n")
        return 0
    from nexa_tui.commands.dispatch import dispatch

    try:
        code = dispatch(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`nexa task list | head`); that is no failure.
        sys.stderr.close()
        return _TERMINATED_BY_PIPE
    return code


def script() -> None:
    """The installed program."""
    sys.exit(main())


if __name__ == "__main__":
    script()
