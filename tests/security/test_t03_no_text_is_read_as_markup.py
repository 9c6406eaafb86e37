"""T3: what a widget is given is content, never text in which markup would be read.

That markup in foreign text does nothing is shown screen by screen in tests/tui; here no
line of the console may hand Textual a text in which it would look for markup.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "nexa_tui"
READERS = {"Static", "Label", "Button", "Markdown", "Collapsible", "Option", "notify"}
"""Calls that read markup in a text they are given."""
TITLES = {"border_title", "border_subtitle", "tooltip"}
SAFE = {"Content", "untrusted", "Text"}
"""Calls that make what no markup is read in."""


def parts() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def called(node: ast.expr) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def is_content(node: ast.expr, names: set[str]) -> bool:
    """Whether it is content for certain, or nothing at all."""
    if isinstance(node, ast.Constant):
        return node.value in ("", None)
    if isinstance(node, ast.IfExp):
        return is_content(node.body, names) and is_content(node.orelse, names)
    if isinstance(node, ast.Call):
        of = getattr(node.func, "value", None)
        return called(node.func) in SAFE or (of is not None and called(of) in SAFE)
    return isinstance(node, ast.Name) and node.id in names


def named_content(tree: ast.AST) -> set[str]:
    """Variables to which nothing but content is ever given."""
    given: dict[str, list[bool]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            given.setdefault(name, []).append(is_content(node.value, set()))
        elif isinstance(node, ast.arg) and node.annotation is not None:
            said = ast.unparse(node.annotation)
            given.setdefault(node.arg, []).append(said in SAFE)
    return {name for name, all_ in given.items() if all(all_)}


def without_markup(call: ast.Call) -> bool:
    return any(
        word.arg == "markup"
        and isinstance(word.value, ast.Constant)
        and word.value.value is False
        for word in call.keywords
    )


def faults(path: str, tree: ast.AST) -> list[str]:
    names = named_content(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node.func) in READERS:
            if without_markup(node):
                continue
            wrong = [one for one in node.args if not is_content(one, names)]
        elif isinstance(node, ast.Assign) and called(node.targets[0]) in TITLES:
            wrong = [] if is_content(node.value, names) else [node.value]
        elif isinstance(node, ast.FunctionDef) and node.name == "render":
            says = "" if node.returns is None else ast.unparse(node.returns)
            wrong = [node.returns] if node.returns is not None and says == "str" else []
        else:
            continue
        found += [f"{path}:{one.lineno}: {ast.unparse(one)}" for one in wrong]
    return found


def test_no_widget_of_the_console_is_given_text() -> None:
    found = [each for path, tree in parts() for each in faults(path.name, tree)]

    assert found == [], "give it Content(…) for own words, untrusted(…) for others'"


def test_what_is_forbidden_is_seen() -> None:
    for wrong in (
        'Static(f"agent {name}")',
        "Label(agent.name)",
        "app.notify(error.message)",
        "notify('a' + b)",
        "box.border_title = name",
        "def render(self) -> str: ...",
        "x = name\nStatic(x)",
    ):
        assert faults("a.py", ast.parse(wrong)), wrong


def test_what_is_allowed_passes() -> None:
    for right in (
        "Static(untrusted(name))",
        "Static(Content.assemble(a, b))",
        "notify(text, markup=False)",
        "x = Content(name)\nStatic(x)",
        "box.border_title = Content(title)",
    ):
        assert faults("a.py", ast.parse(right)) == [], right
