"""Prometheus' rule files: read, checked, and every fault told with its line.

The format is Prometheus', unchanged, so that one file loads in both. What nexa needs
besides stands in annotations that begin with `nexa_`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from nexa_node.core.alerting.templates import TemplateError, check_template
from nexa_node.core.promql.durations import duration_s
from nexa_node.core.promql.parsing import parse
from nexa_node.core.promql.samples import QueryError

FILE_MAX = 1024 * 1024
RULES_MAX = 2000
TOKENS_MAX = 60_000
"""Of YAML, in one file."""
DEPTH_MAX = 20
_YAML: Any = yaml
"""Its stubs leave streams untyped."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
DEFAULT_INTERVAL_S = 15.0


class RuleError(Exception):
    """A rule file that can't be taken."""

    def __init__(self, message: str, *, file: str, line: int, rule: str = "") -> None:
        """Say what, and where.

        Args:
            message: What is wrong.
            file: The file's name.
            line: From 1; 0 where it is not known.
            rule: The rule's name, if it is about one.
        """
        self.message, self.file, self.line, self.rule = message, file, line, rule
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {f'{rule}: ' if rule else ''}{message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule."""

    name: str
    """Of the alert, or of the series it records."""
    alerts: bool
    text: str
    expression: Any = field(compare=False, repr=False)
    """As `promql.parsing.parse` gave it."""
    for_s: float = 0.0
    keep_firing_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after another, at the same time."""

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval_s: float = DEFAULT_INTERVAL_S
    limit: int = 0
    """Alerts or series one rule may make; 0: any number."""


def load(text: str, *, file: str) -> tuple[Group, ...]:
    """Read a rule file.

    Raises:
        RuleError: It can't be taken; where, and why.
    """
    if len(text) > FILE_MAX:
        raise RuleError(f"a rule file has at most {FILE_MAX} bytes", file=file, line=0)
    root = composed(text, file)
    if root is None:
        return ()
    reader = _Reader(file)
    top = reader.mapping(root, {"groups"}, "a rule file")
    groups = tuple(
        reader.group(node) for node in reader.sequence(top.get("groups"), "groups")
    )
    seen: set[str] = set()
    for group in groups:
        if group.name in seen:
            raise RuleError(
                f'groupname: "{group.name}" is repeated in the same file',
                file=file,
                line=0,
            )
        seen.add(group.name)
    if sum(len(group.rules) for group in groups) > RULES_MAX:
        raise RuleError(f"more than {RULES_MAX} rules", file=file, line=0)
    return groups


def composed(text: str, file: str) -> yaml.Node | None:
    """YAML as nodes, whose lines are known; what would cost too much is refused.

    Raises:
        RuleError: It is no YAML, or too much of it.
    """
    try:
        _check_size(text, file)
        return _YAML.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "it is no YAML"
        line = 0 if mark is None else mark.line + 1
        raise RuleError(f"{said}", file=file, line=line) from None


def _check_size(text: str, file: str) -> None:
    """See that it is no bomb: anchors and aliases, of which rules need none, aren't taken."""
    depth = 0
    for count, token in enumerate(_YAML.scan(text, Loader=yaml.SafeLoader)):
        kind = type(token).__name__
        depth += kind.endswith("StartToken") - kind.endswith("EndToken")
        line = token.start_mark.line + 1
        if count > TOKENS_MAX:
            raise RuleError("it has too many values", file=file, line=line)
        if depth > DEPTH_MAX:
            raise RuleError("it is nested too deep", file=file, line=line)
        if kind == "AliasToken":
            raise RuleError("aliases are not supported", file=file, line=line)


class _Reader:
    """Reads nodes of YAML, whose lines are known."""

    def __init__(self, file: str) -> None:
        self._file = file

    def fail(self, node: yaml.Node | None, message: str, rule: str = "") -> RuleError:
        line = 0 if node is None else node.start_mark.line + 1
        return RuleError(message, file=self._file, line=line, rule=rule)

    def mapping(
        self, node: yaml.Node, known: set[str] | None, what: str
    ) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{what} is a mapping")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key, "a key")
            if known is not None and name not in known:
                raise self.fail(
                    key, f"field {name} not found in {what}: {', '.join(sorted(known))}"
                )
            if name in found:
                raise self.fail(key, f'"{name}" stands there twice')
            found[name] = value
        return found

    def sequence(self, node: yaml.Node | None, what: str) -> Iterator[yaml.Node]:
        if node is None or _is_null(node):
            return iter(())
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, f"{what} is a list")
        return iter(node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, f"{what} is a text")
        return str(node.value)

    def duration(self, node: yaml.Node | None, what: str, default: float) -> float:
        if node is None:
            return default
        text = self.text(node, what)
        try:
            return duration_s(text)
        except ValueError:
            raise self.fail(node, f'not a valid duration string: "{text}"') from None

    def texts(self, node: yaml.Node | None, what: str) -> dict[str, str]:
        if node is None or _is_null(node):
            return {}
        found = self.mapping(node, None, what)
        for name, value in found.items():
            if not _LABEL.fullmatch(name):
                raise self.fail(value, f"invalid name in {what}: {name}")
        return {name: self.text(value, what) for name, value in found.items()}

    def group(self, node: yaml.Node) -> Group:
        fields = self.mapping(
            node, {"name", "interval", "limit", "rules", "query_offset"}, "a group"
        )
        if "query_offset" in fields:
            raise self.fail(fields["query_offset"], "query_offset is not supported")
        name = self.text(fields["name"], "name") if "name" in fields else ""
        if not name:
            raise self.fail(node, "Groupname must not be empty")
        interval = self.duration(fields.get("interval"), "interval", DEFAULT_INTERVAL_S)
        if interval <= 0:
            raise self.fail(fields["interval"], "interval must be more than 0")
        return Group(
            name=name,
            file=self._file,
            rules=tuple(
                self.rule(each) for each in self.sequence(fields.get("rules"), "rules")
            ),
            interval_s=interval,
            limit=self.limit(fields.get("limit")),
        )

    def limit(self, node: yaml.Node | None) -> int:
        if node is None:
            return 0
        text = self.text(node, "limit")
        if not text.isdecimal():
            raise self.fail(node, f"limit is a number, not {text}")
        return int(text)

    def rule(self, node: yaml.Node) -> Rule:
        fields = self.mapping(
            node,
            {"alert", "record", "expr", "for", "keep_firing_for", "labels",
             "annotations"},
            "a rule",
        )  # fmt: skip
        if ("alert" in fields) == ("record" in fields):
            raise self.fail(node, "one of 'record' and 'alert' must be set")
        alerts = "alert" in fields
        name = self.text(fields["alert" if alerts else "record"], "the name")
        if not name or (not alerts and not _NAME.fullmatch(name)):
            raise self.fail(node, f"invalid recording rule name: {name}", name)
        for key in () if alerts else ("for", "keep_firing_for", "annotations"):
            if key in fields:
                raise self.fail(
                    fields[key], f"invalid field '{key}' in recording rule", name
                )
        if "expr" not in fields:
            raise self.fail(node, "field 'expr' must be set in rule", name)
        text = self.text(fields["expr"], "expr").strip()
        made = Rule(
            name=name,
            alerts=alerts,
            text=text,
            expression=self.expression(fields["expr"], text, name),
            for_s=self.duration(fields.get("for"), "for", 0.0),
            keep_firing_s=self.duration(fields.get("keep_firing_for"), "for", 0.0),
            labels=self.texts(fields.get("labels"), "labels"),
            annotations=self.texts(fields.get("annotations"), "annotations"),
            line=node.start_mark.line + 1,
        )
        self.check(node, made)
        return made

    def expression(self, node: yaml.Node, text: str, name: str) -> Any:
        try:
            return parse(text)
        except QueryError as error:
            raise self.fail(
                node, f"could not parse expression: {error}", name
            ) from None

    def check(self, node: yaml.Node, rule: Rule) -> None:
        if "__name__" in rule.labels:
            raise self.fail(node, "invalid label name: __name__", rule.name)
        if not rule.alerts:
            return
        for where in (rule.labels, rule.annotations):
            for name, text in where.items():
                try:
                    check_template(text)
                except TemplateError as error:
                    raise self.fail(node, f"{name}: {error}", rule.name) from None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")
