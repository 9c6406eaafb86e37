"""`nexa role …`, `nexa token …`, `nexa login …` and `nexa cluster rotate` against a port."""

import base64
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nexa_node.contract.access import (
    AccessDecision,
    Permission,
    Role,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.cluster import ClusterChange
from nexa_node.contract.errors import Conflict, Forbidden, NotFound
from nexa_node.contract.login import (
    Challenge,
    LoginWays,
    OidcProvider,
    login_words,
)
from nexa_node.contract.rest import Page
from nexa_tui.client.discovery import discover
from nexa_tui.client.logins import renewed
from nexa_tui.state.access import proved_by
from tests import builders
from tests.node.adapters.oidc.issuing import issuer
from tests.tui.alarms import AUDIT
from tests.tui.served import Port, Said, port, say

NOW = datetime.now(UTC)
DESK = Role(name="desk", permissions=(Permission(allow="tasks:read", on="a.>"),))
MADE = TokenCreated(id="k1", token="nxa_k1_x", role="operator", name="ada", expires=NOW)
CHALLENGE = Challenge(nonce="bm9uY2U", node="n1", cluster="nexa", expires=NOW)


@pytest.fixture
def there() -> Iterator[Port]:
    with port() as made:
        made.answers |= {
            "GET /v1/roles": Page(items=(DESK,)),
            "POST /v1/roles": DESK,
            "DELETE /v1/roles/desk": None,
            "POST /v1/tokens": MADE,
            "DELETE /v1/tokens/k1": Conflict(
                "k1 is the last admin's token", remedy="make one first"
            ),
            "POST /v1/login/challenge": CHALLENGE,
            "POST /v1/login": msgspec.structs.replace(
                MADE, expires=NOW + timedelta(hours=1)
            ),
        }
        yield made


@pytest.fixture
def tell(there: Port, tmp_path: Path) -> Any:
    def told(*words: str) -> Said:
        return say(tmp_path, there.url, *words)

    return told


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        ({}, "secret"),
        ({"public_key": "k"}, "key"),
        ({"of": "k9"}, "login"),
        ({"id": "oidc-1-2"}, "login"),
        ({"certificates": ("0" * 64,)}, "cert"),
    ],
)
def test_a_token_is_listed_with_how_its_holder_proves_himself(
    fields: dict[str, Any], how: str
) -> None:
    known = {"id": "k1", "role": "viewer", "name": "", "created": NOW, "expires": None}
    token = msgspec.convert({**known, "last_used": None, **fields}, TokenView)
    assert proved_by(token) == how


def test_roles_are_listed_shown_made_and_deleted(there: Port, tell: Any) -> None:
    assert "desk" in tell("role").out
    assert tell("role", "show", "desk").out == "tasks:read  on a.>\n"
    made = tell("role", "create", "desk", "--allow", "tasks:read@a.>")
    assert made.out == "the role desk is there\n"
    assert tell("role", "delete", "desk").out == "desk is deleted\n"

    assert there.asked[0][1]["permissions"] == [{"allow": "tasks:read", "on": "a.>"}]


def test_a_role_that_is_not_there_is_not_found(there: Port, tell: Any) -> None:
    said = tell("role", "show", "nope")

    assert said.code == 5
    assert "no role nope" in said.err
    assert "nexa role list" in said.err
    there.answers["DELETE /v1/roles/nope"] = NotFound("no role nope")
    assert tell("role", "delete", "nope").code == 5
    there.answers["DELETE /v1/roles/desk"] = Forbidden("it is not yours")
    assert tell("role", "delete", "desk").code == 4


def test_explaining_says_yes_or_no_and_by_which_rule(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    there.answers["GET /v1/roles/explain"] = [
        AccessDecision(
            who="token:k1",
            action="tasks:read",
            resource="a.wc",
            allowed=allowed,
            rule="desk has tasks:read on a.>",
        )
        for allowed in (True, False)
    ]

    yes = tell("role", "explain", "a.wc-1", "tasks:read", "a.wc")
    no = tell("role", "explain", "desk", "tasks:read", "b.wc", "--json")

    assert (yes.code, yes.out) == (0, "yes: desk has tasks:read on a.>\n")
    assert (no.code, no.json()["allowed"]) == (1, False)
    assert "who=a.wc-1" in calls[0]
    assert "resource=a.wc" in calls[0]


def test_tokens_tell_how_they_are_proved_and_when_they_were_used(
    there: Port, tell: Any
) -> None:
    view = TokenView(
        id="k1", role="agent", name="", created=NOW, expires=None, public_key="AAA="
    )
    there.answers["GET /v1/tokens"] = Page(
        items=(view, msgspec.structs.replace(view, id="k2", of="k1", last_used=NOW))
    )

    lines = tell("token", "list").out.splitlines()

    assert lines[0].split() == ["TOKEN", "ROLE", "NAME", "BY", "AGE", "USED", "ENDS"]
    assert lines[1].split()[3] == "key"
    assert "never" in lines[1]
    assert lines[2].split()[3] == "login"


def test_the_last_admin_is_kept_and_the_reason_told(tell: Any) -> None:
    said = tell("token", "revoke", "k1")

    assert said.code == 1
    assert "last admin" in said.err
    assert "make one first" in said.err


def test_a_key_is_made_once_in_a_file_for_its_owner_alone(
    there: Port, tell: Any, tmp_path: Path
) -> None:
    file = tmp_path / "agent.key"
    made = tell("token", "key", str(file), "--json").json()

    assert len(base64.b64decode(made["public_key"])) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    again = tell("token", "key", str(file))
    assert again.code == 1
    assert "already" in again.err
    there.answers["POST /v1/tokens"] = msgspec.structs.replace(MADE, token="")
    said = tell(
        "token", "create", "--role", "agent", "--public-key", made["public_key"]
    )
    assert said.out == "k1\n"
    assert "--sign FILE --id k1" in said.err
    assert there.asked[-1][1]["public_key"] == made["public_key"]


def test_a_login_by_a_key_signs_the_challenge_and_is_kept_and_renewed(
    there: Port, tell: Any, tmp_path: Path
) -> None:
    there.answers["GET /v1/node"] = builders.node_status()
    file = tmp_path / "me.key"
    public = tell("token", "key", str(file)).out.strip()

    said = tell("login", there.url, "--name", "c", "--sign", str(file), "--id", "k9")

    assert said.code == 0, said.err
    proof = there.asked[-1][1]["key"]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
    words = login_words(CHALLENGE, purpose="login", token_id="k9")
    key.verify(base64.b64decode(proof["signature"]), words)
    contexts = tmp_path / "config" / "contexts.toml"
    kept = tomllib.loads(contexts.read_text())["context"]["c"]
    assert (kept["id"], kept["sign"]) == ("k9", str(file))
    token = tmp_path / "config" / "tokens" / "c.token"
    assert token.stat().st_mode & 0o777 == 0o600


def test_a_key_others_can_read_or_that_is_none_is_refused(
    there: Port, tell: Any, tmp_path: Path
) -> None:
    file = tmp_path / "me.key"
    assert tell("login", there.url, "--sign", str(file), "--id", "k").code == 5
    tell("token", "key", str(file))
    file.chmod(0o644)
    assert "chmod 600" in tell("login", there.url, "--sign", str(file), "--id", "k").err
    file.write_text("x")
    file.chmod(0o600)
    told = tell("login", there.url, "--sign", str(file), "--id", "k").err
    assert "no private key" in told
    assert tell("login", there.url, "--sign", str(file)).code == 2
    assert tell("login").code == 2


def test_a_login_with_a_browser_says_where_to_go_and_waits(
    there: Port, tell: Any
) -> None:
    there.answers["GET /v1/node"] = builders.node_status()
    with issuer() as it:
        there.answers["GET /v1/login"] = LoginWays(
            oidc=OidcProvider(issuer=it.url, client_id="nexa", scopes=("openid",))
        )
        said = tell("login", there.url, "--name", "c", "--oidc")
        assert said.code == 0, said.err
        assert f"open {it.url}/go and give WDJB-MJHT" in said.err
        assert there.asked[-1][1]["oidc"].count(".") == 2

        it.refusal = "access_denied"
        refused = tell("login", there.url, "--oidc")
        assert refused.code == 1
        assert "access_denied" in refused.err
        it.described = {"device_authorization_endpoint": ""}
        assert "no device login" in tell("login", there.url, "--oidc").err
    there.answers["GET /v1/login"] = LoginWays()
    assert "[oidc] issuer" in tell("login", there.url, "--oidc").err


def test_a_cluster_gets_new_keys_or_says_what_would_be(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    there.answers["POST /v1/cluster/rotate"] = ClusterChange(
        done=True, what="all nodes have new keys"
    )

    said = tell("cluster", "rotate", "--yes")
    dry = tell("cluster", "rotate", "--dry-run")

    assert said.code == dry.code == 0
    assert "new keys" in said.out
    assert any("dry_run=true" in each for each in calls)


def test_the_audit_is_searched_by_word_and_address(there: Port, tell: Any) -> None:
    calls: list[str] = []
    there.before = calls.append
    there.answers["GET /v1/audit"] = Page(items=AUDIT)

    tell("audit", "list", "--text", "drain", "--address", "10.0.0.1")

    assert "text=drain" in calls[0]
    assert "address=10.0.0.1" in calls[0]


def test_a_context_logs_in_anew_when_its_token_ends(
    there: Port, tell: Any, tmp_path: Path
) -> None:
    file = tmp_path / "me.key"
    tell("token", "key", str(file))
    there.answers["GET /v1/node"] = builders.node_status()
    tell("login", there.url, "--name", "c", "--sign", str(file), "--id", "k9")
    environ = {"NEXA_HOME": str(tmp_path)}
    target = discover(environ, context="c")
    assert target is not None
    assert renewed(environ, target) is target

    assert target.login is not None
    over = replace(target, login=replace(target.login, until=NOW))
    asked = len(there.asked)
    again = renewed(environ, over)

    assert again.token == MADE.token
    assert len(there.asked) == asked + 2
    assert renewed({**environ, "NEXA_TOKEN": "t"}, over) is over
