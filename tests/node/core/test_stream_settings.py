"""What may be changed in a stream that somebody else made, and what is refused."""

from typing import Any

import pytest

from nexa_node.core.stream_settings import adapted, differences

HOUR = 3600 * 10**9
WANTED: dict[str, Any] = {
    "name": "NX_X",
    "subjects": ("nx.x.>",),
    "retention": "limits",
    "storage": "file",
    "num_replicas": 3,
    "discard": "old",
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "max_bytes": 1000,
    "max_age": 2 * HOUR,
    "duplicate_window": HOUR,
    "allow_direct": True,
    "allow_msg_ttl": False,
    "allow_atomic": True,
    "allow_rollup_hdrs": False,
    "deny_delete": False,
    "subject_delete_marker_ttl": 0,
}


def told(is_ours: bool = False, **found: Any) -> list[tuple[str, str]]:
    there = {**WANTED, "subjects": ["nx.x.>"], **found}
    all_ = differences(there, WANTED, is_ours=is_ours, least_message=4096)
    assert all(one.remedy for one in all_ if one.verdict == "refuse")
    return [(one.setting, one.verdict) for one in all_]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"max_age": HOUR}, "adapt"),
        ({"max_age": 0}, "refuse"),
        ({"max_age": 9 * HOUR}, "refuse"),
        ({"num_replicas": 1}, "adapt"),
        ({"max_bytes": 10}, "adapt"),
        ({"max_bytes": -1}, "refuse"),
        ({"max_msgs": 5}, "adapt"),
        ({"allow_atomic": False}, "adapt"),
        ({"discard": "new"}, "adapt"),
        ({"subjects": ["nx.y"]}, "refuse"),
        ({"retention": "interest"}, "refuse"),
        ({"deny_delete": True}, "refuse"),
        ({"max_msg_size": 100}, "refuse"),
        ({"max_consumers": 2}, "refuse"),
        ({"mirror": {"name": "Y\n"}}, "refuse"),
        ({"sealed": True}, "refuse"),
        ({"persist_mode": "async"}, "refuse"),
    ],
)
def test_a_setting_is_adapted_only_if_nothing_is_lost(
    found: dict[str, Any], verdict: str
) -> None:
    assert told(**found) == [(next(iter(found)), verdict)]


def test_more_copies_and_what_is_not_nexas_business_stay() -> None:
    assert told(num_replicas=5, max_msg_size=5000, compression="s2", sources=None) == []


def test_the_age_limit_of_our_own_is_the_controllers() -> None:
    assert told(is_ours=True, max_age=9 * HOUR) == [("max_age", "keep")]


def test_what_is_not_nexas_business_is_kept_when_something_is_adapted() -> None:
    there = {
        **WANTED,
        "allow_direct": False,
        "compression": "s2",
        "subjects": ["nx.x.>"],
    }
    all_ = differences(there, WANTED, is_ours=True, least_message=1)

    assert adapted(there, all_) == {**there, "allow_direct": True}
    assert adapted(there, ()) is None


def test_a_strangers_value_is_shown_on_one_short_line() -> None:
    there = {**WANTED, "storage": "\x1b[2J\n" + "x" * 500}
    (one,) = (
        d
        for d in differences(there, WANTED, is_ours=True, least_message=1)
        if d.setting == "storage"
    )

    assert one.words.isprintable()
    assert len(one.words) < 200
