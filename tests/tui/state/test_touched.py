"""What a failed check means for which panel: no check of the self-test is forgotten."""

from pathlib import Path

import pytest

from nexa_node.adapters.files.config import load_settings
from nexa_node.wiring.checks import Asked, all_checks
from nexa_tui.state.touched import PANELS, doubts, effects
from tests.builders import check


async def nobody() -> Asked:
    raise AssertionError("no check is run here")


def real_ids(folder: Path) -> list[str]:
    """The ids of the node's own checks, as they are told."""
    config = folder / "nexa.toml"
    config.write_text('[[check]]\nname = "db"\nkind = "tcp"\ntarget = "db:1"\n')
    loaded = load_settings(config, environ={})
    made = all_checks(loaded, state=folder, ask=nobody, trial=True, port=None)
    return [one.id for one in made]


def test_every_check_there_is_touches_a_panel_and_says_how(tmp_path: Path) -> None:
    ids = real_ids(tmp_path)

    assert len(ids) == 18
    for one in ids:
        told = effects(check(one, status="fail"))
        assert told
        assert set(told) <= set(PANELS)


def test_what_no_check_is_called_is_not_mapped(tmp_path: Path) -> None:
    from nexa_tui.state import touched

    assert set(touched._OF_CHECK) <= set(real_ids(tmp_path))


def test_only_failures_raise_doubts() -> None:
    checks = (check("machine.disk", status="warn"), check("node.store"))

    assert doubts(checks) == {}


def test_panels_with_several_causes_name_them_all_in_order() -> None:
    found = doubts(
        (
            check("machine.disk", title="disk space", status="fail"),
            check("node.store", title="store \x1b[2J", status="fail"),
        )
    )

    assert list(found) == ["agents", "tasks", "host", "flow", "events"]
    assert found["events"].text == "may have holes: disk space, store ␛[2J"
    assert found["host"].text == "short of space: disk space"


@pytest.mark.parametrize("group", ["machine", "node", "connectivity", "cluster"])
def test_a_check_of_a_newer_node_touches_what_its_group_touches(group: str) -> None:
    assert doubts((check(f"{group}.unheard_of", status="fail"),))
