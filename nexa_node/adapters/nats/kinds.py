"""Where a task waits: subjects and consumers of the work queue, and their names.

A task's subject is `nx.task.q.<namespace>.<priority>.<capability>.<bucket>.<id>`; each
bucket of each priority has a durable consumer of its own. Before 0.2 there was no bucket
in it: what was stored then is still delivered, by the consumers of that time.
"""

from dataclasses import dataclass

from nexa_node.adapters.nats import topology
from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import TaskId
from nexa_node.contract.tasks import PRIORITIES, Priority
from nexa_node.core.fairness import PLAIN

OLD = "old"
"""In place of a bucket: what was stored without one."""
OLD_SUBJECTS = f"{topology.TASKQ_PREFIX}.*.*.*.*"
_JOIN = "="
"""In no slug, so two kinds never share a consumer."""


@dataclass(frozen=True, slots=True)
class Place:
    """One queue of a kind."""

    priority: Priority
    bucket: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespace and a capability, both slugs.

    Raises:
        Invalid: One of them is none.
    """

    namespace: str
    capability: str

    def __post_init__(self) -> None:
        """Refuse what could mean another subject."""
        topology.subject("", self.namespace, self.capability)

    def subject(self, place: Place, task_id: TaskId) -> str:
        """Name where a task of this kind waits."""
        if place.priority not in PRIORITIES:
            raise Invalid(f"{str(place.priority)[:80]!r} is no priority")
        topology.subject("", task_id)
        return f"{self._prefix(place)}.{task_id}"

    def anywhere(self, task_id: TaskId) -> str:
        """Name where it waits, whatever its priority and bucket."""
        topology.subject("", task_id)
        return (
            f"{topology.TASKQ_PREFIX}.{self.namespace}.*.{self.capability}.*.{task_id}"
        )

    def filter(self, place: Place) -> str:
        """Name all that waits in one place."""
        return f"{self._prefix(place)}.*"

    def consumer(self, place: Place) -> str:
        """Name the consumer of one place."""
        words = [self.namespace, place.priority, self.capability]
        return _JOIN.join(words if place.bucket == OLD else [*words, place.bucket])

    def _prefix(self, place: Place) -> str:
        words = [topology.TASKQ_PREFIX, self.namespace, place.priority, self.capability]
        return ".".join(words if place.bucket == OLD else [*words, place.bucket])


def read_consumer(name: str) -> tuple[Kind, Place] | None:
    """Say whose consumer has that name; None if it is none of ours."""
    words = name.split(_JOIN)
    if len(words) == 3:
        words.append(OLD)
    if len(words) != 4:
        return None
    return _read(words[0], words[1], words[2], words[3])


def read_old_subject(subject: str) -> tuple[Kind, Place] | None:
    """Say where a subject without a bucket is; None if it is none."""
    words = subject.removeprefix(f"{topology.TASKQ_PREFIX}.").split(".")
    if len(words) != 4:
        return None
    return _read(words[0], words[1], words[2], OLD)


def base() -> tuple[Place, ...]:
    """Name the places that every kind has."""
    return tuple(Place(priority, PLAIN) for priority in PRIORITIES)


def _read(
    namespace: str, priority: str, capability: str, bucket: str
) -> tuple[Kind, Place] | None:
    for known in PRIORITIES:
        if known == priority:
            try:
                return Kind(namespace, capability), Place(known, bucket)
            except Invalid:
                return None
    return None
