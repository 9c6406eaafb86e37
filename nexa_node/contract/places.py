"""Where nexa keeps its files, as pure functions over a base folder.

Both wings agree on places here; finding the base folders is each wing's own I/O:
`NEXA_HOME` puts everything into one folder, platformdirs says where else.
"""

from collections.abc import Mapping
from pathlib import PurePath

HOME_VARIABLE = "NEXA_HOME"
DEFAULT_PORT = 6392
"""NEXA on a telephone's keys."""
DEFAULT_HOST = "127.0.0.1"


def bases(
    environ: Mapping[str, str], *, config: PurePath, state: PurePath
) -> tuple[PurePath, PurePath]:
    """Choose the configuration and the state folder.

    Args:
        environ: Looked up for `NEXA_HOME`.
        config: The platform's folder for configuration, without `NEXA_HOME`.
        state: The platform's folder for state, without `NEXA_HOME`.
    """
    home = environ.get(HOME_VARIABLE)
    if not home:
        return config, state
    return PurePath(home) / "config", PurePath(home) / "state"


def node_config(config: PurePath) -> PurePath:
    """The node's settings."""
    return config / "nexa.toml"


def console_config(config: PurePath) -> PurePath:
    """The console's settings."""
    return config / "console.toml"


def rules(config: PurePath) -> PurePath:
    """Files of rules that an operator wrote."""
    return config / "rules"


def contexts(config: PurePath) -> PurePath:
    """Clusters an operator knows by name."""
    return config / "contexts.toml"


def user_actions(config: PurePath) -> PurePath:
    """Actions of the console that an operator made."""
    return config / "actions.toml"


def user_themes(config: PurePath) -> PurePath:
    """Themes an operator made."""
    return config / "themes"


def nodes(state: PurePath) -> PurePath:
    """One folder for each node of this machine."""
    return state / "node"


def node_folder(state: PurePath, name: str) -> PurePath:
    """All that one node keeps."""
    return nodes(state) / name


def node_file(state: PurePath, name: str) -> PurePath:
    """How programs on this machine find the node: a `nodes.NodeFile`."""
    return node_folder(state, name) / "node.json"


def admin_token(state: PurePath, name: str) -> PurePath:
    """The first credential, mode 0600."""
    return node_folder(state, name) / "admin.token"


def startup_log(state: PurePath) -> PurePath:
    """Every self-test and every start, one JSON object a line."""
    return state / "logs" / "startup.jsonl"


def node_errors(state: PurePath, name: str) -> PurePath:
    """What a node says on its standard error; `name` as it was given, empty if not."""
    return state / "logs" / (f"{name}.err" if name else "node.err")


def node_log(state: PurePath) -> PurePath:
    """What nodes of this machine log, one JSON object a line."""
    return state / "logs" / "node.jsonl"
