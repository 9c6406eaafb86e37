"""A stream that somebody else may have made, held against how nexa keeps it.

Settings whose change loses nothing are adapted. What would lose messages, what can't be
changed, and what makes a stream another one is refused, with the command that mends it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["adapt", "keep", "refuse"]
"""adapt: change it now. keep: right as it is until the controller says otherwise."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not as planned."""

    setting: str
    found: Any
    wanted: Any
    verdict: Verdict
    remedy: str = ""
    """Of a refusal: the command that mends it."""

    @property
    def words(self) -> str:
        """The setting, what was found and what is wanted."""
        return f"{self.setting} is {_told(self.found)} and must be {_told(self.wanted)}"


_FREE = (
    "discard",
    "allow_direct",
    "allow_atomic",
    "allow_msg_ttl",
    "allow_rollup_hdrs",
    "subject_delete_marker_ttl",
    "duplicate_window",
)
"""Change how it is written and read, and remove nothing."""
_LIMITS = ("max_msgs", "max_bytes", "max_msgs_per_subject")
"""-1 is none. Raising one keeps what is there; lowering it removes messages."""
_FIXED = ("retention", "storage")
_FOREIGN: Mapping[str, Any] = {
    "mirror": None,
    "sources": None,
    "subject_transform": None,
    "sealed": False,
    "deny_purge": False,
    "no_ack": False,
    "discard_new_per_subject": False,
    "allow_msg_counter": False,
    "persist_mode": "default",
}
"""Settings that nexa never makes, and can't work with."""


def differences(
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    is_ours: bool,
    least_message: int,
) -> tuple[Difference, ...]:
    """Compare a stream with its plan.

    Args:
        found: Its settings as the server tells them; what is not told is at its default.
        wanted: As nexa would make it.
        is_ours: Whether a nexa made it: then its age limit is the controller's, and may
            be lowered.
        least_message: Bytes that one message must be allowed to have.
    """
    name = str(wanted["name"])
    told = [
        *_fixed(name, found, wanted),
        *_foreign(name, found),
        *_sized(name, found, least_message),
        *_limits(name, found, wanted),
        *_age(name, found, wanted, is_ours=is_ours),
        *_copies(found, wanted),
    ]
    for setting in _FREE:
        had = found.get(setting) or type(wanted[setting])()
        if had != wanted[setting]:
            told.append(Difference(setting, had, wanted[setting], "adapt"))
    return tuple(told)


def adapted(
    found: Mapping[str, Any], told: tuple[Difference, ...]
) -> dict[str, Any] | None:
    """Say how the stream should be; None if nothing has to be changed."""
    changes = {one.setting: one.wanted for one in told if one.verdict == "adapt"}
    return {**found, **changes} if changes else None


def _fixed(
    name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> list[Difference]:
    told: list[Difference] = []
    subjects = sorted(found.get("subjects") or ())
    if subjects != sorted(wanted["subjects"]):
        plain = ",".join(wanted["subjects"])
        told.append(
            Difference(
                "subjects",
                subjects,
                sorted(wanted["subjects"]),
                "refuse",
                f"nats stream edit {name} --subjects='{plain}'; or give nexa an"
                " account of its own",
            )
        )
    told += [
        Difference(key, found.get(key), wanted[key], "refuse", _anew(name))
        for key in _FIXED
        if found.get(key) != wanted[key]
    ]
    had = bool(found.get("deny_delete"))
    if had and not wanted["deny_delete"]:
        told.append(Difference("deny_delete", True, False, "refuse", _anew(name)))
    elif not had and wanted["deny_delete"]:
        told.append(Difference("deny_delete", False, True, "adapt"))
    return told


def _foreign(name: str, found: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(setting, found[setting], wanted, "refuse", _anew(name))
        for setting, wanted in _FOREIGN.items()
        if found.get(setting) and found[setting] != wanted
    ]


def _sized(name: str, found: Mapping[str, Any], least: int) -> list[Difference]:
    told: list[Difference] = []
    size = int(found.get("max_msg_size") or -1)
    if 0 < size < least:
        mend = f"nats stream edit {name} --max-msg-size=-1"
        told.append(Difference("max_msg_size", size, -1, "refuse", mend))
    readers = int(found.get("max_consumers") or -1)
    if readers > 0:
        told.append(Difference("max_consumers", readers, -1, "refuse", _anew(name)))
    return told


def _limits(
    name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> list[Difference]:
    told: list[Difference] = []
    for setting in _LIMITS:
        had, want = int(found.get(setting) or -1), int(wanted[setting])
        if had == want:
            continue
        if want < 0 or 0 < had < want:
            told.append(Difference(setting, had, want, "adapt"))
            continue
        option = setting.replace("_", "-")
        mend = f"nats stream edit {name} --{option}={want}: it removes what is above"
        told.append(Difference(setting, had, want, "refuse", mend))
    return told


def _age(
    name: str, found: Mapping[str, Any], wanted: Mapping[str, Any], *, is_ours: bool
) -> list[Difference]:
    had, want = int(found.get("max_age") or 0), int(wanted["max_age"])
    if had == want:
        return []
    if is_ours:
        return [Difference("max_age", had, want, "keep")]
    if want == 0 or 0 < had < want:
        return [Difference("max_age", had, want, "adapt")]
    mend = (
        f"nats stream edit {name} --max-age={want // 10**9}s: it removes what is older"
    )
    return [Difference("max_age", had, want, "refuse", mend)]


def _copies(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    had, want = int(found.get("num_replicas") or 1), int(wanted["num_replicas"])
    return [Difference("num_replicas", had, want, "adapt")] if had < want else []


def _anew(name: str) -> str:
    return (
        f"it can't be changed: nats stream rm {name}, and nexa makes it anew; or give"
        " nexa an account of its own"
    )


def _told(value: Any) -> str:
    """Put a value on one line, whatever it is; a stranger may have written it."""
    text = value if isinstance(value, str) else repr(value)
    shown = text.encode("unicode_escape").decode()
    return shown if len(shown) <= 120 else f"{shown[:117]}..."
