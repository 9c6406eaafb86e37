"""Which nodes there are to attach to: those of this machine, then the contexts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nexa_node.contract.errors import Invalid, NexaError, NotFound
from nexa_tui.client.contexts import read_contexts
from nexa_tui.client.discovery import Target, discover, local_nodes

Offer = tuple[str, str, str]
"""Key, name and note of one row."""


def found(environ: Mapping[str, str]) -> tuple[Offer, ...]:
    """List what can be attached to.

    Raises:
        Invalid: A file that would say so is broken.
    """
    here = [
        (f"node:{one.name}", one.name, f"{one.url}, {one.source}")
        for one in local_nodes(environ)
    ]
    known = read_contexts(environ)
    contexts = [
        (
            f"context:{name}",
            name,
            f"{context.url}, context" + (", production" if context.production else ""),
        )
        for name, context in sorted(known.context.items())
    ]
    return (*here, *contexts)


def known_targets(environ: Mapping[str, str]) -> tuple[tuple[str, Target], ...]:
    """All that can be attached to, with the keys that `target_of` takes.

    What can't be read is left out: the list of contexts says why.
    """
    targets: list[tuple[str, Target]] = []
    for key, _, _ in found(environ):
        try:
            targets.append((key, target_of(key, environ)))
        except NexaError:
            continue
    return tuple(targets)


def still_running(
    targets: Sequence[Target], environ: Mapping[str, str]
) -> tuple[Target, ...]:
    """Which of these nodes of this machine still run; a pid alone is used again."""
    try:
        pids = {one.pid for one in local_nodes(environ)}
    except NexaError:
        return ()
    return tuple(one for one in targets if one.pid in pids)


def needs_token(url: str, environ: Mapping[str, str]) -> bool:
    """Whether no token is known for the node at `url`; what is no URL needs none."""
    try:
        target = discover(environ, attach=url)
    except NexaError:
        return False
    return target is not None and target.token is None


def target_of(chosen: str, environ: Mapping[str, str], *, token: str = "") -> Target:
    """Find what was chosen.

    Args:
        chosen: `node:NAME`, `context:NAME` or `url:URL`.
        environ: For `NEXA_HOME` and tokens.
        token: What the person gave; without one, what is known.

    Raises:
        NotFound: It is gone.
        Invalid: The URL or the token is none.
    """
    if not (token.isascii() and (token + "x").isprintable()):
        raise Invalid("that is no token", remedy="nexa token create --role operator")
    kind, _, value = chosen.partition(":")
    target = {
        "node": lambda: discover(environ, name=value),
        "context": lambda: discover(environ, context=value),
        "url": lambda: discover(environ, attach=value),
    }[kind]()
    if target is None:
        raise NotFound(f"{value} is gone", remedy="nexa node status")
    return replace(target, token=token) if token else target
