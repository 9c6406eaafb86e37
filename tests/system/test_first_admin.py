"""The first credential of a node, its one use, and who may read what lies on the disk."""

import stat

import httpx

from nexa_tui.client.discovery import Target
from tests.system.conftest import Shell


def test_t7_the_first_token_is_used_up_and_all_that_is_kept_is_for_one_user(
    shell: Shell, node: Target
) -> None:
    first = node.token
    assert first
    made = shell("token", "create", "--role", "agent", "--json").json()
    own = shell.home / "state/node/alpha"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    for path in own.rglob("*"):
        if path.is_file() and not {"jetstream", "nats"} & set(path.parts):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path

    said = shell("login", "--local", "--name", "mine", "--json")
    assert said.code == 0, said.err
    assert not (shell.home / "state/node/alpha/admin.token").exists()
    with httpx.Client(base_url=node.url, trust_env=False) as http:
        for token in (first, "nxa_none"):
            asked = http.get("/v1/node", headers={"Authorization": f"Bearer {token}"})
            assert asked.status_code == 401

    tokens = shell.home / "config/tokens"
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o700
    assert stat.S_IMODE((tokens / "mine.token").stat().st_mode) == 0o600
    # The node found on this machine is called by the token that is kept for it.
    assert shell("token", "list").code == 0
    refused = shell("token", "revoke", said.json()["whoami"])
    assert refused.code == 1
    assert "last admin" in refused.err
    assert shell("node", "restart").code == 0
    assert not (shell.home / "state/node/alpha/admin.token").exists()
    assert shell("selftest").code == 0
    audit = shell("audit", "list", "--text", "tokens:revoke", "--json").json()["items"]
    assert [one["entry"]["outcome"] for one in audit] == [
        "failed",
        "begun",
        "done",
        "begun",
    ]
    assert shell("audit", "verify").code == 0

    secrets = {made["token"], first, shell.home.joinpath(
        "config/tokens/mine.token").read_text().strip()}  # fmt: skip
    kept = (shell.home / "state").rglob("*")
    for path in (one for one in kept if one.is_file()):
        content = path.read_bytes()
        assert not [one for one in secrets if one.encode() in content], path
