"""Clusters an operator knows by name: `contexts.toml`, tokens in files beside it."""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.ids import is_slug
from nexa_tui.client.places import base_folders
from nexa_tui.client.secrets import read_token, write_token
from nexa_tui.client.trust import Trust


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
    sign: str = ""
    """A file with the Ed25519 key by which commands log in anew."""
    id: str = ""
    """Of the token that the key was registered for."""
    until: datetime | None = None
    """When the token ends that is kept."""
    kept: Literal["file", "keyring"] = "file"
    """Where the token is."""


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
    environ: Mapping[str, str],
    name: str,
    context: Context,
    token: str | None,
    trust: Trust | None = None,
) -> None:
    """Add or replace a context, and make it the current one.

    Of `trust` the files are copied, so that the context needs nothing but itself.

    Raises:
        Invalid: The name is no slug.
    """
    if not is_slug(name):
        raise Invalid(
            f"'{name}' can't name a context",
            remedy="use a-z, 0-9, - and _ (63 at most)",
        )
    if token is not None:
        context = msgspec.structs.replace(context, kept=_keep(environ, name, token))
    _keep_trust(environ, name, trust or Trust())
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
    found = known.context[name]
    if found.kept == "keyring":
        from nexa_tui.client import keyrings

        ring, account = keyrings.keyring_of(environ), _account(environ, name)
        return found, keyrings.read(ring, account, context=name)
    return found, read_token(token_file(environ, name))


def kept_in(environ: Mapping[str, str], name: str) -> str:
    """Where a context's token is, in words."""
    known = read_contexts(environ).context.get(name)
    if known is not None and known.kept == "keyring":
        return "the system's keyring"
    return str(token_file(environ, name))


def _keep(
    environ: Mapping[str, str], name: str, token: str
) -> Literal["file", "keyring"]:
    """Keep a token where it is safest; nothing of it stays in the other place."""
    from nexa_tui.client import keyrings

    ring = keyrings.keyring_of(environ)
    if ring is not None and keyrings.keep(ring, _account(environ, name), token):
        token_file(environ, name).unlink(missing_ok=True)
        return "keyring"
    write_token(token_file(environ, name), token)
    return "file"


def _account(environ: Mapping[str, str], name: str) -> str:
    """Two folders may have contexts of one name."""
    return f"{name} of {_path(environ).parent}"


def keep_login(
    environ: Mapping[str, str], name: str, token: str, *, until: datetime | None
) -> None:
    """Replace a context's token by one that ends at `until`."""
    kept = _keep(environ, name, token)
    known = read_contexts(environ)
    renewed = msgspec.structs.replace(known.context[name], until=until, kept=kept)
    write_contexts(
        environ,
        Contexts(current=known.current, context={**known.context, name: renewed}),
    )


def trust_of_context(environ: Mapping[str, str], name: str) -> Trust:
    """By what the nodes of a context are known, and what is shown to them."""
    ca, certificate, key = _trust_files(environ, name)
    return Trust(
        ca=str(ca) if ca.exists() else "",
        certificate=str(certificate) if certificate.exists() else "",
        key=str(key) if key.exists() else "",
    )


def forget_files(environ: Mapping[str, str], name: str) -> None:
    """Remove a context's token and the files of its trust."""
    known = read_contexts(environ).context.get(name)
    if known is not None and known.kept == "keyring":
        from nexa_tui.client import keyrings

        keyrings.forget(keyrings.keyring_of(environ), _account(environ, name))
    for path in (token_file(environ, name), *_trust_files(environ, name)):
        path.unlink(missing_ok=True)


def _keep_trust(environ: Mapping[str, str], name: str, trust: Trust) -> None:
    given = (trust.ca, trust.certificate, trust.key or trust.certificate)
    for path, source in zip(_trust_files(environ, name), given, strict=True):
        if not source:
            path.unlink(missing_ok=True)
        elif Path(source) != path:
            write_token(path, Path(source).read_text(encoding="ascii").strip())


def _trust_files(environ: Mapping[str, str], name: str) -> tuple[Path, Path, Path]:
    folder = _path(environ).parent / "trust"
    return folder / f"{name}.ca.pem", folder / f"{name}.pem", folder / f"{name}.key"


def token_file(environ: Mapping[str, str], name: str) -> Path:
    """Where the token of a context is kept."""
    return _path(environ).parent / "tokens" / f"{name}.token"


def _path(environ: Mapping[str, str]) -> Path:
    config, _ = base_folders(environ)
    return Path(places.contexts(config))
