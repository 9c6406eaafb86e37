"""What `[store]` must mean: one kind of store, one kind of credentials, no secrets."""

from collections.abc import Callable, Mapping
from typing import NoReturn
from urllib.parse import urlsplit

from nexa_node.core.policies import StorePolicy
from nexa_node.settings import Settings

Refuse = Callable[[str, str], NoReturn]

_ATTACHED = (
    "urls",
    "creds_file",
    "nkey_file",
    "username",
    "password_file",
    "token_file",
    "ca_file",
    "cert_file",
    "key_file",
    "domain",
    "replicas",
    "account_bytes",
    "clock_ms",
    "sync_always",
)
_SUPERVISED = ("nats_server", "sha256", "max_bytes", "restart_backoff_ms")
_OTHERS = ("route_port", "join_port", "replicas", "certificate_hours")
"""Of `[cluster]`: about stores that nexa runs."""
_KINDS = ("creds_file", "nkey_file", "username", "token_file")
_TOGETHER = (("username", "password_file"), ("cert_file", "key_file"))
SECRETS = ("creds_file", "nkey_file", "password_file", "token_file", "key_file")
"""Settings that name a file which nobody else may read."""


def check_store(settings: Settings, origins: Mapping[str, str], refuse: Refuse) -> None:
    """Refuse what is well-formed and means nothing; `refuse` is told the key and why."""
    policy = settings.store
    if policy.nats_server and not policy.sha256:
        refuse("store.nats_server", "a binary of your own needs its sha256 too")
    if policy.mode == "supervised":
        for key in _ATTACHED:
            if f"store.{key}" in origins:
                refuse(f"store.{key}", 'it means something with mode = "attached" only')
        return
    for key in _SUPERVISED:
        if f"store.{key}" in origins:
            why = (
                'with mode = "attached" nexa starts no nats-server that it could be of'
            )
            refuse(f"store.{key}", why)
    for key in _OTHERS:
        if f"cluster.{key}" in origins:
            own = " ([store] replicas does)" if key == "replicas" else ""
            why = f'with [store] mode = "attached" it means nothing{own}'
            refuse(f"cluster.{key}", why)
    _check_urls(policy, refuse)
    _check_credentials(policy, refuse)
    if policy.domain and not _is_token(policy.domain):
        refuse("store.domain", f"'{policy.domain[:80]}' is no JetStream domain")


def _check_urls(policy: StorePolicy, refuse: Refuse) -> None:
    if not policy.urls:
        refuse("store.urls", 'mode = "attached" needs at least one: nats://HOST:PORT')
    for url in policy.urls:
        try:
            told = urlsplit(url)
            host, port = told.hostname, told.port
        except ValueError:
            refuse("store.urls", "one of them is no URL")
        if "@" in url:
            why = "credentials don't belong in a URL: name a file, such as creds_file"
            refuse("store.urls", why)
        shown = url[:120]
        if told.scheme not in ("nats", "tls"):
            refuse("store.urls", f"{shown} begins with neither nats:// nor tls://")
        if not host or port == 0 or told.path.strip("/") or told.query or told.fragment:
            refuse("store.urls", f"{shown} is not nats://HOST:PORT or tls://HOST:PORT")
    if len(set(policy.urls)) < len(policy.urls):
        refuse("store.urls", "one of them is there twice")


def _check_credentials(policy: StorePolicy, refuse: Refuse) -> None:
    kinds = [key for key in _KINDS if getattr(policy, key)]
    if len(kinds) > 1:
        refuse(f"store.{kinds[1]}", f"{kinds[0]} is set, too: one kind of credentials")
    for one, other in _TOGETHER:
        if getattr(policy, one) and not getattr(policy, other):
            refuse(f"store.{one}", f"it needs {other}, too")
        if getattr(policy, other) and not getattr(policy, one):
            refuse(f"store.{other}", f"it needs {one}, too")


def _is_token(text: str) -> bool:
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum()
