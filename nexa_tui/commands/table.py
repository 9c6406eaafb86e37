"""The commands there are: one row each, and nothing imported to know them."""

from typing import NamedTuple


class Command(NamedTuple):
    """A noun of the command line."""

    name: str
    module: str
    """Below `nexa_tui.commands`; has `run(arguments, call) -> int`."""
    group: str
    help: str
    verbs: tuple[str, ...] = ()


COMMANDS: tuple[Command, ...] = (
    Command("console", "console", "Watch", "open the console (what plain `nexa` does)"),
    Command(
        "demo", "demo", "Watch", "a real node with real agents, thrown away afterwards"
    ),
    Command(
        "chaos", "chaos", "Watch", "kill, stop or restart nodes of the demo that runs"
    ),
    Command("web", "web", "Watch", "the console in a browser of this machine"),
    Command("selftest", "selftest", "Watch", "the splash's checks, printed"),
    Command(
        "node",
        "node",
        "Run",
        "run, start, stop or look at a node of this machine",
        ("run", "start", "stop", "restart", "status", "drain", "maintenance"),
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
    ),
    Command(
        "agents",
        "agents",
        "Work",
        "list, show, drain or disconnect agents",
        ("list", "show", "drain", "resume", "disconnect"),
    ),
    Command("agent", "agent", "Work", "make any program an agent", ("run",)),
    Command(
        "task",
        "task",
        "Work",
        "submit tasks and see what came of them",
        ("submit", "list", "show", "cancel", "explain", "watch"),
    ),
    Command("queues", "queues", "Work", "what waits, and who is there for it"),
    Command(
        "dead-letters",
        "dead_letters",
        "Work",
        "tasks that used up their attempts",
        ("list", "redrive", "purge"),
    ),
    Command("send", "send", "Work", "send a message to an agent or a topic"),
    Command("tail", "tail", "Work", "the messages of topics, as they come"),
    Command(
        "alerts",
        "alerts",
        "Look",
        "what is wrong, who minds it, what became of it",
        ("list", "show", "ack", "unack", "note", "dismiss", "history", "handover"),
    ),
    Command(
        "silences",
        "silences",
        "Look",
        "alerts of which nobody is told for a while",
        ("list", "add", "expire"),
    ),
    Command(
        "rules",
        "rules",
        "Look",
        "the rules of alerts: in force, and files to be checked and tested",
        ("list", "reload", "check", "test"),
    ),
    Command(
        "notifications",
        "notifications",
        "Look",
        "who was told of alerts, and whether it arrived",
        ("list", "test"),
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
    ),
    Command(
        "cert",
        "cert",
        "Access",
        "clients that prove who they are by a certificate; the cluster's authority",
        ("issue", "add", "list", "renew", "revoke", "ca"),
    ),
    Command(
        "role",
        "role",
        "Access",
        "what roles may do; who may do what",
        ("list", "show", "create", "delete", "explain"),
    ),
    Command(
        "login", "login", "Access", "keep a cluster's address and token as a context"
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
