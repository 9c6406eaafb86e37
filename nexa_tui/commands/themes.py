"""`nexa themes`: list themes, check a user's own."""

from pathlib import Path

from nexa_node.contract import places
from nexa_tui.client.places import base_folders
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import EXIT_FAILED, Call
from nexa_tui.theming import Themes, packaged_folder


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs; check exits with 1 if a theme is broken."""
    verb, rest = choose_verb("themes", arguments, ("list", "check"), default="list")
    about = {
        "list": "List themes: nexa's own, and yours.",
        "check": "Read every theme, and say what is wrong with it.",
    }
    parser = Parser(f"themes {verb}", about[verb])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(rest)
    own = Path(places.user_themes(base_folders(call.environ)[0]))
    themes = Themes(own, packaged_folder())
    if verb == "check":
        return _check(themes, own, call, as_json=options.json)
    if options.json:
        call.json({"items": [{"name": name} for name in themes.names()]})
        return 0
    for name in themes.names():
        call.line(name)
    call.note(f"your own: {own}/NAME.toml; try one: nexa --theme NAME")
    return 0


def _check(themes: Themes, own: Path, call: Call, *, as_json: bool) -> int:
    problems = [str(problem) for problem in themes.problems()]
    if as_json:
        call.json({"status": "fail" if problems else "pass", "problems": problems})
    elif not problems:
        call.line(f"{len(themes.names())} themes are well; your own would be in {own}")
    for problem in problems if not as_json else ():
        call.line(problem, "bad")
    return EXIT_FAILED if problems else 0
