"""T15: what is changed is what was meant, also where another one looks the same."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from textual.app import App

from nexa_tui.widgets.confirm import Confirm
from tests.security.played import Played, played
from tests.tui.widgets.looks import screen_text

LATIN_LOOKS = "аdmin"  # its first letter is Cyrillic
ALIKE = "wc-1".replace("c", "с")  # the Cyrillic es
OVER = ("agents", "tasks", "nodes", "tokens", "roles", "namespaces", "inboxes")


@pytest.fixture(scope="module")
def node() -> Iterator[Played]:
    with played() as one:
        yield one


@pytest.mark.parametrize("what", OVER)
def test_an_id_that_only_looks_alike_is_refused_and_never_taken_for_another(
    node: Played, what: str
) -> None:
    answer = node.ask("GET", f"/v1/{what}/{ALIKE}", token=node.tokens["admin"])

    assert answer.status_code in {400, 404, 405, 422}


@pytest.mark.parametrize("deed", ["drain", "disconnect"])
def test_nothing_is_done_to_the_agent_it_looks_like(node: Played, deed: str) -> None:
    before = node.ask("GET", "/v1/agents/wc-1", token=node.tokens["admin"]).json()

    answer = node.ask(
        "POST", f"/v1/agents/{ALIKE}/{deed}", token=node.tokens["admin"], json={}
    )

    after = node.ask("GET", "/v1/agents/wc-1", token=node.tokens["admin"]).json()
    assert answer.status_code == 400
    assert after == before


def test_no_role_can_be_made_that_looks_like_another(node: Played) -> None:
    answer = node.ask(
        "POST",
        "/v1/roles",
        token=node.tokens["admin"],
        json={"name": LATIN_LOOKS, "permissions": [{"allow": "tasks:read"}]},
    )

    assert answer.status_code == 400


def test_a_tokens_name_that_looks_alike_is_flagged_before_it_is_revoked(
    node: Played,
) -> None:
    made = node.ask(
        "POST",
        "/v1/tokens",
        token=node.tokens["admin"],
        json={"role": "viewer", "name": LATIN_LOOKS},
    ).json()
    plan = node.ask(
        "DELETE",
        f"/v1/tokens/{made['token'].split('_')[1]}",
        token=node.tokens["admin"],
        params={"dry_run": "true"},
    ).json()

    assert f"{LATIN_LOOKS} mixes alphabets: а Cyrillic, dmin Latin" in asked(plan)


def asked(plan: dict[str, Any]) -> str:
    """What a person sees who is asked at the console."""

    async def shown() -> str:
        app: App[None] = App()
        async with app.run_test(size=(100, 30)) as pilot:
            app.push_screen(
                Confirm(
                    title="Revoke",
                    target=plan["what"],
                    effects=plan["effects"],
                    verb="Revoke",
                )
            )
            await pilot.pause()
            return screen_text(app)

    return asyncio.run(shown())
