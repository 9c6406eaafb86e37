"""`nexa cluster`: how it stands, who may join and who goes, its copies, its backups."""

from nexa_tui.commands.arguments import choose_verb
from nexa_tui.commands.output import Call

VERBS = (
    "status", "join-token", "leave", "remove", "replicas", "scale", "backup", "restore",
    "conflicts", "rotate",
)  # fmt: skip


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs; what it needs is imported for it alone."""
    verb, rest = choose_verb("cluster", arguments, VERBS, default="status")
    if verb == "status":
        from nexa_tui.commands.cluster_status import run as status

        return status(rest, call)
    if verb == "backup":
        from nexa_tui.commands.cluster_backup import backup

        return backup(rest, call)
    if verb == "restore":
        from nexa_tui.commands.cluster_backup import restore

        return restore(rest, call)
    if verb == "scale":
        from nexa_tui.commands.cluster_scale import run as scale

        return scale(rest, call)
    if verb == "conflicts":
        from nexa_tui.commands.cluster_conflicts import run as conflicts

        return conflicts(rest, call)
    from nexa_tui.commands import cluster_change

    does = {
        "join-token": cluster_change.join_token,
        "leave": cluster_change.leave,
        "remove": cluster_change.remove,
        "replicas": cluster_change.replicas,
        "rotate": cluster_change.rotate,
    }
    return does[verb](rest, call)
