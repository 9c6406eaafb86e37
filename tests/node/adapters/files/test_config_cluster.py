"""`[cluster]`: what no cluster could be kept by is refused with its line."""

from pathlib import Path

import pytest

from nexa_node.adapters.files.config import ConfigInvalid, load_settings


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("beat_ms = 1000", 2, "beat_ms: a node that gives a sign of life each 1000"),
        ("\nsuspect_ms = 600", 3, "suspect_ms: a node that gives a sign of life"),
        ("dead_ms = 1500", 2, "dead_ms: a node can't be dead after 1500 ms"),
        ("suspect_ms = 4000", 2, "suspect_ms: a node can't be dead after 3000 ms"),
        ("lease_ms = 500", 2, "lease_ms: 500 is too little"),
        ("route_port = 70000", 2, "route_port: 70000 is no port"),
        ("route_port = 7000\njoin_port = 7000", 3, "join_port: 7000 is the route_port"),
        ('host = "0.0.0.0"', 2, "host: 0.0.0.0 is no address"),
        (
            "backup_every_hours = 1\nbackup_keep = 0",
            3,
            "backup_keep: 0 would keep none",
        ),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path = tmp_path / "nexa.toml"
    path.write_text(f"[cluster]\n{text}\n")

    with pytest.raises(ConfigInvalid) as refused:
        load_settings(path, environ={})

    assert refused.value.message.startswith(f"{path}:{line}: cluster.{says}")
    assert refused.value.remedy is not None


def test_times_that_fit_each_other_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "nexa.toml"
    path.write_text("[cluster]\nbeat_ms = 100\nsuspect_ms = 200\ndead_ms = 201\n")

    assert load_settings(path, environ={}).settings.cluster.dead_ms == 201
