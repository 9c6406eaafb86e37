"""`[store]`: what no store could be opened by is refused with its line."""

from pathlib import Path

import pytest

from nexa_node.adapters.files.config import ConfigInvalid, load_settings

ATTACHED = 'mode = "attached"\nurls = ["nats://n1:4222"]\n'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('urls = ["nats://n1"]', 2, "store.urls: it means something with mode"),
        ("sync_always = true", 2, "store.sync_always: it means something with mode"),
        ('nats_server = "/x"', 2, "store.nats_server: a binary of your own needs"),
        (ATTACHED + "max_bytes = 5", 4, "store.max_bytes: with mode"),
        (
            ATTACHED + "[cluster]\nreplicas = 3",
            5,
            "cluster.replicas: with [store] mode",
        ),
        ('mode = "attached"\nurls = []', 3, "store.urls: mode"),
        ('mode = "attached"\nurls = ["http://n1"]', 3, "store.urls: http://n1 begins"),
        (
            'mode = "attached"\nurls = ["nats://n1/x"]',
            3,
            "store.urls: nats://n1/x is not",
        ),
        (
            'mode = "attached"\nurls = ["nats://n1:x"]',
            3,
            "store.urls: one of them is no",
        ),
        (
            'mode = "attached"\nurls = ["nats://a:b@n1"]',
            3,
            "store.urls: credentials don't",
        ),
        ('mode = "attached"\nurls = ["nats://a", "nats://a"]', 3, "store.urls: one of"),
        (
            ATTACHED + 'nkey_file = "a"\ntoken_file = "b"',
            5,
            "store.token_file: nkey_file",
        ),
        (ATTACHED + 'username = "a"', 4, "store.username: it needs password_file"),
        (ATTACHED + 'key_file = "a"', 4, "store.key_file: it needs cert_file"),
        (ATTACHED + 'domain = "a.b"', 4, "store.domain: 'a.b' is no JetStream domain"),
        (ATTACHED + "replicas = 2", 4, "store.replicas: Invalid enum value 2"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path = tmp_path / "nexa.toml"
    path.write_text(f"[store]\n{text}\n")

    with pytest.raises(ConfigInvalid) as refused:
        load_settings(path, environ={})

    assert refused.value.message.startswith(f"{path}:{line}: {says}")
    assert "a:b" not in refused.value.message


def test_an_attached_store_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "nexa.toml"
    path.write_text(f"[store]\n{ATTACHED}replicas = 3\nsync_always = true\n")

    store = load_settings(path, environ={}).settings.store

    assert (store.mode, store.urls, store.replicas) == (
        "attached",
        ("nats://n1:4222",),
        3,
    )
