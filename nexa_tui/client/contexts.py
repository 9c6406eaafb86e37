"""Clusters an operator knows by name: `contexts.toml`, tokens in files beside it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.ids import is_slug
from nexa_tui.client.places import base_folders
from nexa_tui.client.secrets import read_token, write_token


class Context(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """One cluster."""

    url: str
    production: bool = False
    """Marked on the screen so that nobody mistakes it."""
    read_only: bool = False


class Contexts(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """The file."""

    current: str = ""
    context: dict[str, Context] = {}


def read_contexts(environ: Mapping[str, str]) -> Contexts:
    """Read the file; empty if there is none.

    Raises:
        Invalid: It isn't what it should be; names file and place.
    """
    path = _path(environ)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(document, Contexts)
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except OSError as error:
        raise Invalid(
            f"{path} can't be read: {error.strerror}", remedy=f"ls -l {path}"
        ) from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeError) as error:
        raise Invalid(f"{path}: {error}", remedy=f"correct or remove {path}") from error


def write_contexts(environ: Mapping[str, str], contexts: Contexts) -> None:
    """Replace the file."""
    import tomli_w

    path = _path(environ)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(tomli_w.dumps(msgspec.to_builtins(contexts)), encoding="utf-8")
    beside.replace(path)


def keep_context(
    environ: Mapping[str, str], name: str, context: Context, token: str | None
) -> None:
    """Add or replace a context, and make it the current one.

    Raises:
        Invalid: The name is no slug.
    """
    if not is_slug(name):
        raise Invalid(
            f"'{name}' can't name a context",
            remedy="use a-z, 0-9, - and _ (63 at most)",
        )
    if token is not None:
        write_token(token_file(environ, name), token)
    known = read_contexts(environ)
    write_contexts(
        environ, Contexts(current=name, context={**known.context, name: context})
    )


def find_context(environ: Mapping[str, str], name: str) -> tuple[Context, str | None]:
    """Look up a context and its token.

    Raises:
        NotFound: There is none of that name; the message lists those there are.
    """
    known = read_contexts(environ)
    if name not in known.context:
        have = ", ".join(sorted(known.context)) or "none"
        raise NotFound(
            f"no context '{name}' (there are: {have})", remedy="nexa context list"
        )
    return known.context[name], read_token(token_file(environ, name))


def token_file(environ: Mapping[str, str], name: str) -> Path:
    """Where the token of a context is kept."""
    return _path(environ).parent / "tokens" / f"{name}.token"


def _path(environ: Mapping[str, str]) -> Path:
    config, _ = base_folders(environ)
    return Path(places.contexts(config))
