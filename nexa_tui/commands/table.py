"""The commands there are: one row each, and nothing imported to know them."""

from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A noun of the command line."""

    name: str
    module: str
    """Below `nexa_tui.commands`; has `run(arguments, call) -> int`."""
    group: str
    help: str
    verbs: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    """Verbs, or options, with which it changes a node or a cluster; `*` is always. These
    are refused where only looking is wanted."""

    def changing(self, arguments: Sequence[str]) -> str | None:
        """The words that would change something; None if none does."""
        for word in self.changes:
            first = arguments[0] if arguments else ""
            if word == "*":
                return self.name
            if word in (arguments if word.startswith("--") else (first,)):
                return f"{self.name} {word}"
        return None


COMMANDS: tuple[Command, ...] = (
    Command("console", "console", "Watch", "open the console (what plain `nexa` does)"),
    Command(
        "demo",
        "demo",
        "Watch",
        "a real node with real agents, thrown away afterwards",
        changes=("*",),
    ),
    Command(
        "chaos",
        "chaos",
        "Watch",
        "kill, stop or restart nodes of the demo that runs",
        changes=("*",),
    ),
    Command("web", "web", "Watch", "the console in a browser of this machine"),
    Command("selftest", "selftest", "Watch", "the splash's checks, printed"),
    Command(
        "node",
        "node",
        "Run",
        "run, start, stop or look at a node of this machine",
        ("run", "start", "stop", "restart", "status", "drain", "maintenance"),
        changes=("run", "start", "stop", "restart", "drain", "maintenance"),
    ),
    Command(
        "cluster",
        "cluster",
        "Run",
        "the cluster: its verdict, who joins and leaves, copies, backups",
        (
            "status",
            "join-token",
            "leave",
            "remove",
            "replicas",
            "scale",
            "backup",
            "restore",
            "conflicts",
            "rotate",
        ),
        changes=(
            "join-token",
            "leave",
            "remove",
            "replicas",
            "scale",
            "restore",
            "rotate",
        ),
    ),
    Command(
        "agents",
        "agents",
        "Work",
        "list, show, drain or disconnect agents",
        ("list", "show", "drain", "resume", "disconnect"),
        changes=("drain", "resume", "disconnect"),
    ),
    Command(
        "agent",
        "agent",
        "Work",
        "make any program an agent",
        ("run",),
        changes=("run",),
    ),
    Command(
        "task",
        "task",
        "Work",
        "submit tasks and see what came of them",
        ("submit", "list", "show", "cancel", "explain", "watch"),
        changes=("submit", "cancel"),
    ),
    Command("queues", "queues", "Work", "what waits, and who is there for it"),
    Command(
        "dead-letters",
        "dead_letters",
        "Work",
        "tasks that used up their attempts",
        ("list", "redrive", "purge"),
        changes=("redrive", "purge"),
    ),
    Command(
        "send", "send", "Work", "send a message to an agent or a topic", changes=("*",)
    ),
    Command("tail", "tail", "Work", "the messages of topics, as they come"),
    Command(
        "alerts",
        "alerts",
        "Look",
        "what is wrong, who minds it, what became of it",
        (
            "list",
            "show",
            "runbook",
            "ack",
            "unack",
            "note",
            "dismiss",
            "history",
            "handover",
        ),
        changes=("ack", "unack", "note", "dismiss"),
    ),
    Command(
        "silences",
        "silences",
        "Look",
        "alerts of which nobody is told for a while",
        ("list", "add", "expire"),
        changes=("add", "expire"),
    ),
    Command(
        "rules",
        "rules",
        "Look",
        "the rules of alerts: in force, and files to be checked and tested",
        ("list", "reload", "check", "test"),
        changes=("reload",),
    ),
    Command(
        "notifications",
        "notifications",
        "Look",
        "who was told of alerts, and whether it arrived",
        ("list", "test"),
        changes=("test",),
    ),
    Command("events", "events", "Look", "what happened"),
    Command(
        "audit",
        "audit",
        "Look",
        "who did what, and whether that is still as it was written",
        ("list", "verify", "export"),
    ),
    Command(
        "logs", "logs", "Look", "what nodes of this machine, or of a cluster, logged"
    ),
    Command("metrics", "metrics", "Look", "what all nodes measured, asked in PromQL"),
    Command("top", "top", "Look", "nodes, agents and queues, the busiest first"),
    Command("profile", "profile", "Look", "where a node spends its CPU time"),
    Command(
        "token",
        "token",
        "Access",
        "make, list, rotate and revoke tokens",
        ("create", "list", "revoke", "rotate", "key"),
        changes=("create", "revoke", "rotate"),
    ),
    Command(
        "cert",
        "cert",
        "Access",
        "clients that prove who they are by a certificate; the cluster's authority",
        ("issue", "add", "list", "renew", "revoke", "ca"),
        changes=("issue", "add", "renew", "revoke"),
    ),
    Command(
        "role",
        "role",
        "Access",
        "what roles may do; who may do what",
        ("list", "show", "create", "delete", "explain"),
        changes=("create", "delete"),
    ),
    Command(
        "namespace",
        "namespace",
        "Access",
        "what namespaces may use, and what is left of it",
        ("list", "show", "set", "clear"),
        changes=("set", "clear"),
    ),
    Command(
        "login",
        "login",
        "Access",
        "keep a cluster's address and token as a context",
        changes=("--local",),
    ),
    Command(
        "context",
        "context",
        "Access",
        "choose among clusters",
        ("list", "use", "remove"),
    ),
    Command(
        "config",
        "config",
        "Set up",
        "show, check or write the settings",
        ("show", "path", "validate", "init"),
    ),
    Command("themes", "themes", "Set up", "list and check themes", ("list", "check")),
    Command("doctor", "doctor", "Set up", "where everything is, and whether it works"),
    Command(
        "completion",
        "completion",
        "Set up",
        "completion for a shell",
        ("bash", "zsh", "fish"),
    ),
    Command("version", "version", "Set up", "versions of nexa and what it runs on"),
)
BY_NAME = {command.name: command for command in COMMANDS}
