"""What this node does for its cluster, and what it has other nodes do."""

import random
import secrets
from pathlib import Path

from nexa_node.adapters.files.sealing import read_key
from nexa_node.adapters.files.shelf import Shelf
from nexa_node.adapters.host.profiler import TimerProfiler
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.version import VERSION
from nexa_node.services.cluster import orphans, shape_keeping
from nexa_node.services.cluster.backups import Backups
from nexa_node.services.cluster.caretaking import Caretaker, Duty
from nexa_node.services.cluster.changes import Changes
from nexa_node.services.cluster.isolation import Isolation
from nexa_node.services.cluster.maintenance import Maintenance
from nexa_node.services.cluster.orphans import Orphans
from nexa_node.services.cluster.partitions import Partitions
from nexa_node.services.cluster.relay import Relay
from nexa_node.services.cluster.rotation import Rotation
from nexa_node.services.cluster.shape_keeping import ShapeKeeping
from nexa_node.services.health.condition import Condition
from nexa_node.services.health.draining import Drain
from nexa_node.services.health.supervisor import Supervisor
from nexa_node.services.tasks import retirement
from nexa_node.wiring.core import Core
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.joining import Admission
from nexa_node.wiring.place import Place

SETTINGS_S = 30.0
"""How often the controller looks whether the streams have its settings."""


class Duties:
    """Joined once everything they work on is there."""

    def __init__(
        self,
        place: Place,
        store: NatsStore,
        fellowship: Fellowship,
        core: Core,
        *,
        condition: Condition,
        drain: Drain,
        supervisor: Supervisor,
    ) -> None:
        """Join them; nothing runs yet."""
        name, clock, journal = place.identity.name, core.clock, core.journal
        members, controller = fellowship.members, fellowship.controller
        self.orphans = Orphans(
            everywhere=core.directory,
            ledger=core.ledger,
            agents=store.agents,
            sessions=store.sessions,
            queue=store.queue,
            living=members.living,
            id_of=fellowship.id_of,
            clock=clock,
            journal=journal,
            rng=random.SystemRandom(),
            policy=place.loaded.settings.leases,
            can_resume=fellowship.can_resume,
        )
        members.on_dead(self.orphans.node_dead)
        self.shape = ShapeKeeping(
            store=store.cluster,
            entries=store.nodes,
            living=members.living,
            policy=place.loaded.settings.cluster,
            journal=journal,
            node=name,
            tell=fellowship.told,
        )
        self.caretaker = Caretaker(
            Duty("copies", shape_keeping.EVERY_S, self.shape.copy),
            Duty("settings", SETTINGS_S, store.keep_settings),
            Duty("departed", shape_keeping.EVERY_S, self.shape.strike_off),
            Duty("orphans", orphans.EVERY_S, self.orphans.look),
            Duty(
                "retention",
                retirement.EVERY_S,
                core.retirement.retire,
                at_once=False,
            ),
            is_controller=controller.is_controller,
            clock=clock,
            journal=journal,
        )
        self.maintenance = Maintenance(
            entries=store.nodes,
            sessions=core.sessions,
            dispatch=core.dispatch,
            condition=condition,
            others=fellowship.others,
            journal=journal,
            node=name,
        )
        self.relay = Relay(
            calls=store.calls,
            node=name,
            living=members.living,
            sessions=core.sessions,
            way_out=drain,
            turn=self.maintenance.turn,
            known=core.directory,
            facts=core.dispatch.facts,
            profiler=TimerProfiler(),
        )
        self.isolation = Isolation(
            has_quorum=fellowship.has_quorum,
            others_may_work=fellowship.others_may_work,
            sessions=core.sessions,
            clock=clock,
            journal=journal,
            node=name,
        )
        self.partitions = Partitions(
            clustered=lambda: not members.is_alone,
            has_quorum=fellowship.has_quorum,
            heard=fellowship.heard,
            refused=lambda: fellowship.writable.refused,
            events=store.events,
            conflicts=store.conflicts,
            clock=clock,
            journal=journal,
            node=name,
        )
        self.admission = Admission(place, store, fellowship, spawn=supervisor.spawn)
        self.rotation = Rotation(
            trust=self.admission.keyring,
            calls=store.calls,
            node=name,
            members=fellowship.names,
            living=members.living,
            whole=fellowship.is_whole,
            clock=clock,
            journal=journal,
        )
        self.rotation.serve()
        self.changes = Changes(
            node=name,
            cluster=fellowship.picture,
            store=store.cluster,
            is_alive=members.is_alive,
            issue=self.admission.issue,
            forget=store.nodes.delete,
            ask_drain=lambda node, by: self.relay.drain(node, by=by),
            ask_maintain=lambda node, on, by: self.relay.maintain(node, on=on, by=by),
            depart=self.admission.depart,
            renew_keys=lambda by: self.rotation.rotate(by=by),
            journal=journal,
            spawn=supervisor.spawn,
            on_growth=fellowship.growths.tell,
        )
        fellowship.growths.on_change(condition.look)
        fellowship.tell, fellowship.way_out = self.changes.tell, drain.begin
        self.backups = Backups(
            node=name,
            cluster=lambda: (
                fellowship.cluster_name,
                "" if store.member is None else store.member.cluster_id,
            ),
            version=VERSION,
            streams=store.streams(place.loaded.settings.store, place.folder.path),
            vault=Shelf(_shelf_folder(place), _key(place)),  # pyright: ignore[reportArgumentType]  # it takes back only spools it made
            tasks=store.tasks,
            queue=store.queue,
            journal=journal,
            clock=clock,
            new_id=lambda: secrets.token_hex(8),
            policy=place.loaded.settings.cluster,
            is_controller=controller.is_controller,
            tell=self.changes.tell,
            restart=lambda why: drain.begin(why, again=True),
        )
        self.relay.serve()


def _shelf_folder(place: Place) -> Path:
    told = place.loaded.settings.cluster.backup_folder
    return Path(told) if told else place.folder.path / "backups"


def _key(place: Place) -> bytes | None:
    told = place.loaded.settings.cluster.backup_key_file
    return read_key(Path(told)) if told else None
