"""`python -m nexa_node config show|path|validate|init`: the settings, as the node reads them."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nexa_node import private_files
from nexa_node.adapters.files.config import Loaded, load_settings
from nexa_node.adapters.files.config_store import SECRETS
from nexa_node.adapters.files.config_text import example, listing
from nexa_node.adapters.files.places import base_folders
from nexa_node.adapters.probes.secret import Exposed, read_secret
from nexa_node.contract import places
from nexa_node.contract.errors import Conflict, Invalid, NexaError


def main(arguments: list[str]) -> int:
    """Do one of the verbs."""
    parser = argparse.ArgumentParser(
        prog="nexa config",
        description="The node's settings, and where each comes from.",
    )
    parser.add_argument("verb", choices=("show", "path", "validate", "init"))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)
    path = Path(places.node_config(base_folders()[0]))
    try:
        return _do(options.verb, path, as_json=options.json)
    except NexaError as error:
        mend = f" — mend: {error.remedy}" if error.remedy else ""
        sys.stderr.write(f"nexa: {error.message}{mend}\n")
        return 1


def _do(verb: str, path: Path, *, as_json: bool) -> int:
    if verb == "path":
        _say({"path": str(path)} if as_json else f"{path}")
        return 0
    if verb == "init":
        if path.exists():
            raise Conflict(
                f"{path} is there already", remedy=f"edit it: $EDITOR {path}"
            )
        private_files.make_folder(path.parent)
        private_files.write(path, example().encode())
        _say({"path": str(path)} if as_json else f"wrote {path}")
        return 0
    loaded = load_settings(path, environ=os.environ)
    if verb == "validate":
        _check_secrets(loaded)
        told = {"path": str(path), "exists": loaded.exists, "valid": True}
        where = path if loaded.exists else "no file, all defaults"
        _say(told if as_json else f"valid: {where}, {len(loaded.origins)} values set")
        return 0
    rows = listing(loaded)
    if as_json:
        _say({"items": rows})
    else:
        wide = max(len(row["key"]) for row in rows)
        _say(
            "\n".join(
                f"{row['key']:<{wide}}  {row['value']!s:<24}  {row['origin']}"
                for row in rows
            )
        )
    return 0


def _check_secrets(loaded: Loaded) -> None:
    """Look at the files that hold secrets, as those who use them would find them."""
    for key, path, where in _secrets(loaded):
        origin = loaded.origins[key]
        try:
            read_secret(Path(path))
        except Exposed as error:
            raise Invalid(
                f"{origin}: other users may read {path}",
                remedy=f"chmod 600 {path}",
            ) from error
        except (OSError, ValueError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            name = key.rpartition(".")[2]
            raise Invalid(
                f"{origin}: {path} can't be read: {why}",
                remedy=f"correct {name} of {where}",
            ) from error


def _secrets(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Each setting that names such a file: its key, the file, and whose it is."""
    settings = loaded.settings
    for number, check in enumerate(settings.checks):
        if check.password_file:
            yield (
                f"check.{number}.password_file",
                check.password_file,
                f"[[check]] {check.name}",
            )
    for number, receiver in enumerate(settings.receivers):
        for name in ("url_file", "token_file", "password_file"):
            if path := str(getattr(receiver, name)):
                yield f"receiver.{number}.{name}", path, f"[[receiver]] {receiver.name}"
    for name in SECRETS:
        if path := str(getattr(settings.store, name)):
            yield f"store.{name}", path, "[store]"
    for name in ("password_file", "heartbeat_url_file"):
        if path := str(getattr(settings.alerting, name)):
            yield f"alerting.{name}", path, "[alerting]"


def _say(told: object) -> None:
    text = told if isinstance(told, str) else msgspec.json.encode(told).decode()
    sys.stdout.write(text + "\n")
