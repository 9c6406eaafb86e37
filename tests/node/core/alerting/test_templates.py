"""Templates of labels and annotations."""

import pytest

from nexa_node.core.alerting.templates import TemplateError, check_template, expand

LABELS = {"node": "alpha", "zone": "a"}


@pytest.mark.parametrize(
    ("template", "value", "shown"),
    [
        ("plain", 1, "plain"),
        ("{{ $labels.node }} is down", 1, "alpha is down"),
        ("{{$labels.none}}|", 1, "|"),
        ("{{ .Labels.zone }}", 1, "a"),
        ("{{ $value }}", 3, "3"),
        ("{{ $value }}", 0.25, "0.25"),
        ("{{ .Value }}", float("nan"), "NaN"),
        ("{{ $value }}", float("inf"), "+Inf"),
        ("{{ $value | humanize }}", 1234567, "1.235M"),
        ("{{ $value | humanize }}", 0.0012, "1.2m"),
        ("{{ humanize $value }}", 12, "12"),
        ("{{ $value | humanize1024 }}", 3 * 1024**3, "3Gi"),
        ("{{ $value | humanizePercentage }}", 0.4567, "45.67%"),
        ("{{ $value | humanizeDuration }}", 93784, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 3661, "1h 1m 1s"),
        ("{{ $value | humanizeDuration }}", 75, "1m 15s"),
        ("{{ $value | humanizeDuration }}", 0.02, "20ms"),
        ("{{ $value | humanizeDuration }}", 0, "0s"),
        ('{{ printf "%.2f" $value }}', 1.23456, "1.23"),
        ('{{ $value | printf "%.0f" }}', 2.6, "3"),
        ('{{ printf "%s" $labels.node }}', 1, "alpha"),
        ("{{ $labels.node | toUpper }}", 1, "ALPHA"),
        ('{{ index $labels "node" }}', 1, "alpha"),
        ("{{ $labels.node | humanize }}", 1, "alpha"),
    ],
)
def test_a_template_is_filled_in(template: str, value: float, shown: str) -> None:
    check_template(template)
    assert expand(template, LABELS, value) == shown


@pytest.mark.parametrize(
    "template",
    ["{{ query `up` }}", "{{ $value", "{{ $value | nope }}", "{{ range . }}", "{{ }}"],
)
def test_what_is_not_understood_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        check_template(template)


def test_what_a_template_gives_has_an_end() -> None:
    assert len(expand("{{ $labels.node }}" * 9000, LABELS, 1)) == 4096
