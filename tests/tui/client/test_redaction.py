"""Secrets do not survive what takes them out; what is none stays as it was."""

import pytest
from hypothesis import given, strategies as st

from nexa_tui.client.redaction import MASK, redacted, scrubbed

SECRETS = (
    "nxa_4fk2mvvq7xs_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4",
    "nxj1.8f3a2b.k3.c2VjcmV0LXNlY3JldA",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUv",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "xoxb-1234567890-abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "SUAOGYWPLBPSIDQCN4TN7X6LHWXBKYYGGVVBLV3Y7ZHE5ZUDVG7RWX35ZA",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "it said {} and left", '"{}"', "a={},b"])
def test_a_token_goes_wherever_it_stands(secret: str, around: str) -> None:
    assert secret not in redacted(around.format(secret))
    assert MASK in redacted(around.format(secret))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2 rest", f"password={MASK} rest"),
        ('{"db_password": "hunter2"}', f'{{"db_password": "{MASK}"}}'),
        ("Authorization: Bearer abc.def-ghi123", f"Authorization: Bearer {MASK}"),
        ("postgres://nexa:hunter2@db/x", f"postgres://{MASK}@db/x"),
        ("OPENAI_API_KEY='k-123456'", f"OPENAI_API_KEY='{MASK}'"),
    ],
)
def test_what_is_called_a_secret_goes_and_the_rest_stays(text: str, left: str) -> None:
    assert redacted(text) == left


def test_a_key_that_names_a_secret_loses_its_value() -> None:
    told = {"user": "a", "password": "x", "deep": [{"api_key": "y", "tokens": 12}]}

    assert scrubbed(told) == {
        "user": "a",
        "password": MASK,
        "deep": [{"api_key": MASK, "tokens": 12}],
    }


@pytest.mark.parametrize(
    "text",
    [
        "token:48vf6jtpzr1",
        "nexa_tasks_in_progress",
        "2026-11-23T12:58:10.498276Z",
        "http://127.0.0.1:6392/v1/agent",
        "01m847rmvry9mn5fef6r12eqbq",
        "a@example.com wrote",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.text(), st.sampled_from(SECRETS), st.text())
def test_no_text_around_it_saves_a_token(before: str, secret: str, after: str) -> None:
    assert secret not in redacted(f"{before} {secret} {after}")
