"""`nexa rules`: those in force, from a node; and files, checked and tested without one."""

import subprocess
import sys

from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import Call
from nexa_tui.commands.rules_list import list_rules, reload_rules

_VERBS = ("list", "reload", "check", "test")


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("rules", arguments, _VERBS, default="list")
    do = {"list": list_rules, "reload": reload_rules, "check": _check, "test": _test}
    return do[verb](rest, call)


def _check(arguments: list[str], call: Call) -> int:
    parser = _parser("check", "Read rule files as a node would; say what is wrong.")
    parser.add_argument(
        "--strict", action="store_true", help="warnings are faults, too"
    )
    options = parser.parse_args(arguments)
    strict = ["--strict"] if options.strict else []
    return _ask("check", [*strict, *_words(options.json, options.files)], call)


def _test(arguments: list[str], call: Call) -> int:
    parser = _parser("test", "Play test files of rules, as `promtool test rules` does.")
    options = parser.parse_args(arguments)
    return _ask("test", _words(options.json, options.files), call)


def _parser(verb: str, about: str) -> Parser:
    parser = Parser(f"rules {verb}", about)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def _words(json: bool, files: list[str]) -> list[str]:
    return [*(["--json"] if json else []), "--", *files]


def _ask(verb: str, words: list[str], call: Call) -> int:
    """Let the node's own code read rules: the console does not know them."""
    call.out.flush()
    command = [sys.executable, "-m", "nexa_node", "rules", verb, *words]
    return subprocess.run(command, env=dict(call.environ), check=False).returncode
