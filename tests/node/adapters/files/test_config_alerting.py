"""`[alerting]`, `[[receiver]]`, `[[route]]`, `[[watchdog]]`: what is refused, and where."""

from pathlib import Path

import pytest

from nexa_node.adapters.files.config import ConfigInvalid, load_settings
from nexa_node.adapters.files.config_text import example, listing

WHOLE = """
[alerting]
external_url = "https://nexa.example/ops"
runbook_base_url = "https://runbooks.example/"
heartbeat_url_file = "/run/secrets/heartbeat"

[[receiver]]
name = "hook"
kind = "webhook"
url = "https://hook.example/x"
token_file = "/run/secrets/hook"

[[receiver]]
name = "mail"
kind = "email"
server = "mx.example:587"
sender = "nexa <nexa@example.org>"
to = ["anna@example.org"]
username = "nexa"
password_file = "/run/secrets/mail"

[[receiver]]
name = "chat"
kind = "slack"
url_file = "/run/secrets/chat"

[[receiver]]
name = "pager"
kind = "pagerduty"
token_file = "/run/secrets/pager"

[[route]]
receivers = ["pager"]
match = ['severity="critical"', 'team=~"a|b"']
group_by = ["..."]
escalate_to = ["mail"]

[[route]]
receivers = ["chat"]

[[watchdog]]
name = "uptime"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nexa.toml"


def refused(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigInvalid) as told:
        load_settings(path, environ={})
    assert told.value.remedy
    return told.value.message


def test_a_whole_example_is_taken(path: Path) -> None:
    path.write_text(WHOLE)
    loaded = load_settings(path, environ={})

    assert [one.name for one in loaded.settings.receivers] == [
        "hook",
        "mail",
        "chat",
        "pager",
    ]
    assert loaded.settings.routes[0].escalate_to == ("mail",)
    assert "receiver.1.server" in {row["key"] for row in listing(loaded)}


def test_every_setting_stands_in_the_example_with_its_reason() -> None:
    text = example()

    for section in ("[alerting]", "# [[receiver]]", "# [[route]]", "# [[watchdog]]"):
        assert section in text
    assert "Files of mode 0600" in text or "files of mode 0600" in text


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("mode = 'alertmanager'", "alertmanager needs the URLs in alertmanagers"),
        ("mode = 'external'", "external needs the URL in prometheus"),
        ("mode = 'both'", "Invalid enum value 'both'"),
        ("alertmanagers = ['am:9093']", "no http or https URL"),
        ("prometheus = 'https://u:p@h'", "holds a password"),
        ("external_url = 'http://[x'", "no http or https URL"),
        ("username = 'x'", "needs a password_file"),
        ("heartbeat_every_ms = 0", "too little"),
        ("hearbeat_url_file = 'x'", "did you mean 'heartbeat_url_file'?"),
    ],
)
def test_modes_that_mean_nothing_are_refused(path: Path, mode: str, says: str) -> None:
    told = refused(path, f"[alerting]\n{mode}\n")

    assert says in told
    assert f"{path}:2" in told


def test_receivers_that_nobody_would_use_are_refused(path: Path) -> None:
    text = (
        "[alerting]\nmode='alertmanager'\nalertmanagers=['http://a:1']\n"
        "[[receiver]]\nname='x'\nkind='webhook'\nurl='http://h'\n"
    )

    assert "set receivers up there" in refused(path, text)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("kind='webhook'\nurl='http://h'\nname='No Slug'", "is no slug"),
        ("kind='webhook'\nurl='http://h'\nname='alertmanager'", "is no name of a receiver"),
        ("kind='webhook'\nname='a'", "either url or url_file"),
        ("kind='webhook'\nname='a'\nurl='http://h'\nurl_file='f'", "either url or url_file"),
        ("kind='webhook'\nname='a'\nurl='ftp://h'", "no http or https URL"),
        ("kind='webhook'\nname='a'\nurl='http://h'\nserver='x:1'", "email do"),
        ("kind='webhook'\nname='a'\nurl='http://h'\ntoken_file='t'\npassword_file='p'", "password_file already"),
        ("kind='webhook'\nname='a'\nurl='http://h'\nusername='t'", "needs a password_file"),
        ("kind='webhook'\nname='a'\nurl='http://h'\nper_minute=0", "at least 1"),
        ("kind='webhook'\nname='a'\nurl='http://h'\ntimeout_ms=0", "at least 1"),
        ("kind='webhook'\nname='a'\nurl='http://h'\nretry_hours=-1", "not be negative"),
        ("kind='slack'\nname='a'", "needs url_file"),
        ("kind='slack'\nname='a'\nurl_file='f'\nurl='https://h'", "a receiver of kind slack has none"),
        ("kind='pagerduty'\nname='a'", "needs token_file"),
        ("kind='email'\nname='a'", "needs server"),
        ("kind='email'\nname='a'\nserver='mx:25'\nsender='n@x'", "needs to"),
        ("kind='email'\nname='a'\nserver='mx'\nsender='n@x'\nto=['a@b']", "no host:port"),
        ("kind='email'\nname='a'\nserver='mx:99999'\nsender='n@x'\nto=['a@b']", "no host:port"),
        ("kind='email'\nname='a'\nserver='mx:25'\nsender='nobody'\nto=['a@b']", "is no address"),
        ("kind='email'\nname='a'\nserver='mx:25'\nsender='n@x'\nto=['a@b\\n']".replace("'a@b\\n'", '"a@b\\nBcc: c@d"'), "is no address"),
        ("kind='email'\nname='a'\nserver='mx:25'\nsender='n@x'\nto=['a@b']\ntls='none'\npassword_file='p'", "never sent without encryption"),
        ("kind='pager'\nname='a'", "Invalid enum value 'pager'"),
        ("kind='webhook'\nname='a'\nurll='http://h'", "did you mean 'url'?"),
    ],
)  # fmt: skip
def test_receivers_that_could_not_work_are_refused(
    path: Path, fields: str, says: str
) -> None:
    assert says in refused(path, f"[[receiver]]\n{fields}\n")


def test_two_receivers_of_one_name_are_refused(path: Path) -> None:
    one = "[[receiver]]\nname='a'\nkind='webhook'\nurl='http://h'\n"
    told = refused(path, one + one)

    assert "there are two named 'a'" in told
    assert f"{path}:6" in told


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("receivers=[]", "at least one receiver"),
        ("receivers=['oops']", "'oops' is no receiver; did you mean 'ops'?"),
        (
            "receivers=['ops']\nescalate_to=['xyz']",
            "'xyz' is no receiver; there are: ops",
        ),
        ("receivers=['ops']\nmatch=['severity']", "is no condition"),
        ("receivers=['ops']\nmatch=['a=~\"(\"']", "match"),
        ("receivers=['ops']\ngroup_by=['not a label']", "no name of a label"),
        ("receivers=['ops']\ngroup_wait_ms=-1", "not be negative"),
        ("receivers=['ops']\ngroup_interval_ms=0", "at least 1"),
        ("receivers=['ops']\nrepeat_hours=0", "more than 0"),
        ("receivers=['ops']\nescalate_after_minutes=0", "more than 0"),
        ("receiver='ops'", "did you mean 'receivers'?"),
    ],
)
def test_routes_that_lead_nowhere_are_refused(
    path: Path, fields: str, says: str
) -> None:
    receiver = "[[receiver]]\nname='ops'\nkind='webhook'\nurl='http://h'\n"
    told = refused(path, f"{receiver}[[route]]\n{fields}\n")

    assert says in told


def test_watchdogs_have_names_of_their_own(path: Path) -> None:
    assert "no slug" in refused(path, "[[watchdog]]\nname='A B'\n")
    assert "two named" in refused(
        path, "[[watchdog]]\nname='a'\n[[watchdog]]\nname='a'\n"
    )
