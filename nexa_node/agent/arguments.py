"""The words of `nexa agent run`, and what is wrong with them."""

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, get_args

from nexa_node.agent.credentials import (
    URL_VARIABLE,
    TlsSource,
    TokenSource,
    from_file,
    tls_source,
    token_source,
)
from nexa_node.agent.endpoints import agent_url
from nexa_node.agent.signing import Signer, signer_of
from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.ids import is_slug
from nexa_node.contract.version import VERSION

Stdin = Literal["task", "data", "text"]
STDIN_MODES: tuple[Stdin, ...] = get_args(Stdin)

_EPILOG = """\
The program is run once for each task, without a shell. It gets the task on its standard
input and prints the result, JSON or text, on its standard output; an exit code other than
0 fails the task, which is then tried again. NEXA_TASK_ID, NEXA_TASK_TYPE and NEXA_ATTEMPT
are in its environment. The node is found by NEXA_URL, the token by NEXA_TOKEN or
NEXA_TOKEN_FILE, unless they are given.

  nexa agent run --id wc-1 --capability wc --stdin text -- wc -w
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    id: str
    capabilities: tuple[str, ...]
    command: tuple[str, ...]
    urls: tuple[str, ...]
    token: TokenSource
    tls: TlsSource
    signer: Signer | None = None
    name: str | None = None
    namespace: str | None = None
    slots: int = 1
    timeout_s: float | None = None
    """For one task."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    weight: float = 1.0
    stdin: Stdin = "task"
    grace_s: float = 10.0
    connect_timeout_s: float | None = None
    """Until the first connection; None tries for ever."""
    encoding: Literal["json", "msgpack"] = "json"
    quiet: bool = False
    json: bool = False


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise Invalid(message, remedy="nexa agent run --help")


def parse(words: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Read the command line.

    Raises:
        Invalid: It makes no sense.
        NotFound: There is no such program.
        SystemExit: Help or the version was asked for, and printed.
    """
    ours, command = _split(list(words))
    if ours[:1] != ["run"]:
        raise Invalid("the one verb is `run`", remedy="nexa agent run --help")
    given = _parser().parse_args(ours[1:])
    _must_be_slug(given.id, "an agent's id")
    if given.namespace is not None:
        _must_be_slug(given.namespace, "a namespace")
    for name in given.capability:
        _must_be_slug(name, "a capability")
    urls = given.url or environ.get(URL_VARIABLE, "").replace(",", " ").split()
    if given.token_file:
        token = from_file(Path(given.token_file))
    else:
        token = token_source(None, environ)
    return Options(
        id=given.id,
        capabilities=tuple(dict.fromkeys(given.capability)),
        command=_program(command),
        urls=tuple(agent_url(url) for url in urls),
        token=token,
        tls=tls_source(
            None,
            environ,
            ca=given.ca or "",
            certificate=given.cert or "",
            key=given.key or "",
        ),
        signer=_signer(given, environ),
        name=given.name,
        namespace=given.namespace,
        slots=given.slots,
        timeout_s=given.timeout,
        labels=dict(given.label),
        weight=given.weight,
        stdin=given.stdin,
        grace_s=given.grace,
        connect_timeout_s=given.connect_timeout,
        encoding=given.encoding,
        quiet=given.quiet,
        json=given.json,
    )


def _signer(given: argparse.Namespace, environ: Mapping[str, str]) -> Signer | None:
    if given.sign:
        if not given.sign_id:
            raise Invalid("--sign without --sign-id", remedy="nexa token list shows it")
        return Signer(Path(given.sign), given.sign_id)
    return None if given.token_file else signer_of(environ)


def _parser() -> _Parser:
    parser = _Parser(
        prog="nexa agent run",
        description="Make any program an agent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nexa {VERSION}")
    add = parser.add_argument
    add("--id", required=True, help="a slug; one process at a time has it")
    add(
        "--capability",
        action="append",
        required=True,
        metavar="CAP",
        help="a kind of task the program can do; may be repeated",
    )
    add("--name", help="for people")
    add("--namespace", help="another one than the token's")
    add("--slots", type=_whole, default=1, metavar="N", help="tasks at once (1)")
    add("--timeout", type=_positive, metavar="S", help="end a task after S seconds")
    add(
        "--label",
        type=_label,
        action="append",
        default=[],
        metavar="K=V",
        help="of the capabilities; may be repeated",
    )
    add("--weight", type=_positive, default=1.0, help="share of the work (1)")
    add(
        "--stdin",
        choices=STDIN_MODES,
        default="task",
        help="the whole task as JSON (task), its data as JSON (data) or as it is (text)",
    )
    add("--url", action="append", metavar="U", help="a node; may be repeated")
    add("--token-file", metavar="F", help="holds the token; mode 0600")
    add(
        "--sign",
        metavar="F",
        help="holds an Ed25519 key (nexa token key), instead of a token; mode 0600",
    )
    add("--sign-id", metavar="ID", help="the token that key was registered for")
    add("--ca", metavar="F", help="over TLS: trust this authority and no other")
    add(
        "--cert",
        metavar="F",
        help="over TLS: show this certificate, instead of a token",
    )
    add(
        "--key", metavar="F", help="its key, if that is not in the same file; mode 0600"
    )
    add(
        "--grace",
        type=_not_negative,
        default=10.0,
        metavar="S",
        help="for running tasks when the agent stops (10)",
    )
    add(
        "--connect-timeout",
        type=_positive,
        metavar="S",
        help="exit 3 if no node answers within S seconds; default: go on trying",
    )
    add("--encoding", choices=("json", "msgpack"), default="json", help="of frames")
    add("--quiet", action="store_true", help="say nothing but errors")
    add("--json", action="store_true", help="one JSON object a line")
    return parser


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _program(command: list[str]) -> tuple[str, ...]:
    if not command:
        raise Invalid(
            "no program was given",
            remedy="nexa agent run --id ID --capability CAP -- PROGRAM [ARGUMENT…]",
        )
    found = shutil.which(command[0])
    if found is None:
        raise NotFound(
            f"there is no program {command[0]!r}, or it is not executable",
            remedy=f"command -v {command[0]}",
        )
    return (os.path.abspath(found), *command[1:])  # noqa: PTH100  # links stay links


def _must_be_slug(text: str, what: str) -> None:
    if not is_slug(text):
        raise Invalid(
            f"{text!r} cannot be {what}",
            remedy="use a-z, 0-9, - and _; at most 63 characters",
        )


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _not_negative(text: str) -> float:
    return 0.0 if text in {"0", "0.0"} else _positive(text)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not K=V")
    return key, value
