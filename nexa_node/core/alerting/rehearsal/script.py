"""Test files of rules, as `promtool test rules` takes them: read, with lines."""

import re
from typing import Any

import msgspec
import yaml

from nexa_node.core.alerting.rules import RuleError, composed

_PATH = re.compile(r" - at `(?:key in )?(\$[^`]*)`")
_STEP = re.compile(r"\.([A-Za-z_]+)|\[(\d+)\]")


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alert that fires."""

    exp_labels: dict[str, str] = {}
    exp_annotations: dict[str, str] = {}


class AlertCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alerts of a rule fire at a time."""

    eval_time: str
    alertname: str
    exp_alerts: tuple[Expected, ...] = ()
    line: int = 0


class ExpectedSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample that an expression gives."""

    labels: str = "{}"
    value: float = 0.0


class ExpressionCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an expression gives at a time."""

    expr: str
    eval_time: str
    exp_samples: tuple[ExpectedSample, ...] = ()
    line: int = 0


class InputSeries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Made-up samples."""

    series: str
    values: str


class Test(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Samples, and what is to come of them."""

    __test__ = False  # for pytest: it is none of its own

    interval: str = ""
    name: str = ""
    input_series: tuple[InputSeries, ...] = ()
    alert_rule_test: tuple[AlertCheck, ...] = ()
    promql_expr_test: tuple[ExpressionCheck, ...] = ()
    line: int = 0


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test file."""

    rule_files: tuple[str, ...] = ()
    """As they stand there: relative to the file's own folder."""
    evaluation_interval: str = "1m"
    group_eval_order: tuple[str, ...] = ()
    tests: tuple[Test, ...] = ()


def load(text: str, *, file: str) -> Script:
    """Read a test file.

    Raises:
        RuleError: It can't be taken; where, and why.
    """
    root = composed(text, file)
    if root is None:
        raise RuleError("the file is empty", file=file, line=0)
    try:
        return msgspec.convert(_plain(root), Script, strict=False)
    except msgspec.ValidationError as error:
        said, path = str(error), _PATH.search(str(error))
        line = _line(root, path[1] if path else "$")
        raise RuleError(_PATH.sub("", said), file=file, line=line) from None


def _plain(node: yaml.Node, key: str = "") -> Any:
    """Values of the tree; each test and check is told its line, empty values go."""
    match node:
        case yaml.MappingNode():
            return {
                str(name.value): _plain(value, str(name.value))
                for name, value in node.value
                if not _is_null(value)
            }
        case yaml.SequenceNode():
            lined = key in ("tests", "alert_rule_test", "promql_expr_test")
            items = [_plain(each) for each in node.value]
            for item, each in zip(items, node.value, strict=True):
                if lined and isinstance(item, dict):
                    item["line"] = each.start_mark.line + 1
            return items
        case _:
            return str(node.value)


def _line(root: yaml.Node, path: str) -> int:
    node: yaml.Node = root
    for name, place in _STEP.findall(path):
        if (
            place
            and isinstance(node, yaml.SequenceNode)
            and int(place) < len(node.value)
        ):
            node = node.value[int(place)]
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == name:
                    node = value
    return node.start_mark.line + 1


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")
