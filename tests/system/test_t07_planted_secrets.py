"""T7: secrets that are planted are found nowhere but in the file of who holds them.

A token, one that was rotated away, a join token, a private key with what it logged in by,
a password of a mail server and the key of a sealed backup are all used on a cluster of two
nodes, rightly and wrongly. Then everything is read: state folders, logs, the store's own
files, metrics, events, audit, backups, a recording of the console, and the arguments and
environments of all processes. What is looked for is the secret, its base64 and its hex.
"""

import base64
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.system.conftest import Shell, end, servers_under, until
from tests.system.screen import Terminal
from tests.system.town import Town

pytestmark = [pytest.mark.timeout(200), pytest.mark.slow]

PASSWORD = "planted-smtp-password-4711"
SEAL = "planted-seal-" + "0123456789abcdef" * 4
TELL_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


@dataclass
class Planted:
    """Each secret, and the files that are its own place."""

    secrets: dict[str, str] = field(default_factory=dict[str, str])
    places: set[Path] = field(default_factory=set[Path])

    def add(self, name: str, text: str, place: Path | None = None) -> str:
        """A secret; of a token what is secret in it, since its id is public."""
        secret = {"nxa_": text.rpartition("_")[2], "nxj1": text.rpartition(".")[2]}
        self.secrets[name] = secret.get(text[:4], text)
        assert len(self.secrets[name]) >= 20
        if place is not None:
            self.places.add(place)
        return text

    def found_in(self, content: bytes) -> list[str]:
        return [
            name
            for name, text in self.secrets.items()
            for shape in (
                text.encode(),
                base64.b64encode(text.encode()).rstrip(b"="),
                text.encode().hex().encode(),
            )
            if shape in content
        ]

    def found_under(self, folder: Path) -> list[tuple[str, list[str]]]:
        """Files with a secret that is not at home there."""
        return [
            (str(path), found)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path not in self.places
            if (found := self.found_in(path.read_bytes()))
        ]


def private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(text)
    return path


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def founded(town: Town, tmp_path: Path, planted: Planted) -> Shell:
    """A node that knows a mail server's password."""
    password = private(tmp_path / "held/smtp.password", PASSWORD + "\n")
    planted.add("password", PASSWORD, password)
    config = tmp_path / "alpha/config/nexa.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        '[log]\nlevel = "debug"\n\n[[receiver]]\nname = "mail"\nkind = "email"\n'
        'server = "127.0.0.1:1"\nsender = "n@example.org"\nto = ["o@example.org"]\n'
        f'username = "nexa"\npassword_file = "{password}"\n'
    )
    return town.found("alpha")


def make_tokens(alpha: Shell, held: Path, planted: Planted) -> str:
    """Tokens of both kinds and logins by them; the one that is good."""
    made = alpha("token", "create", "--role", "operator", "--json").json()
    planted.add("rotated away", made["token"])
    whole = alpha("token", "rotate", made["id"], "--overlap", "0s", "--json").json()
    token = planted.add("token", whole["token"])

    key = held / "me.key"
    public = alpha("token", "key", str(key), "--json").json()["public_key"]
    body = "".join(one for one in key.read_text().splitlines() if "-" * 3 not in one)
    planted.add("private key", body, key)
    words = ("--role", "viewer", "--public-key", public)
    of_key = alpha("token", "create", *words, "--json").json()
    url = alpha("node", "status", "--json").json()["url"]
    login = ("login", url, "--sign", str(key), "--id", of_key["id"], "--name", "key")
    assert alpha(*login).code == 0
    return token


def misuse(url: str, token: str) -> None:
    """Say a good token in every wrong place, and a wrong one in the right place."""
    with httpx.Client(base_url=url, trust_env=False) as http:
        right = {"Authorization": f"Bearer {token}"}
        for path, headers in (
            (f"/v1/tasks?token={token}", {}),
            (f"/v1/agents/{token}", right),
            (f"/v1/{token}", right),
            ("/v1/tasks", {"Authorization": f"Basic {token}"}),
            ("/v1/tasks", {"Authorization": f"Bearer {token}x"}),
            ("/v1/tasks", {"X-Token": token, "Cookie": f"token={token}"}),
            ("/v1/tasks", right),
        ):
            assert http.get(path, headers=headers).status_code < 500


def test_no_planted_secret_is_found_anywhere(town: Town, tmp_path: Path) -> None:
    held, planted = tmp_path / "held", Planted()
    alpha = founded(town, tmp_path, planted)
    token = make_tokens(alpha, held, planted)
    join = planted.add("join token", town.token("alpha"))
    beta = town.join("beta", "alpha", join)
    again = Shell({**beta.environ, "NEXA_HOME": str(tmp_path / "late")})
    words = ("node", "start", "--name", "late", "--port", "0", "--join-file", "-")
    refused = again.program(*words, input=join + "\n")
    assert refused.returncode != 0
    misuse(town.target("alpha").url, token)
    alpha("notifications", "test", "mail")

    # An agent that was given the token by its environment runs a program of others.
    agent_token = planted.add(
        "agent's token",
        alpha("token", "create", "--role", "agent", "--json").json()["token"],
    )
    url = town.target("beta").url
    worker = Shell({**alpha.environ, "NEXA_TOKEN": agent_token, "NEXA_URL": url})
    program = worker.agent("wc-1", "wc", sys.executable, "-c", TELL_ENVIRONMENT)
    recording = tmp_path / "seen.jsonl"
    try:
        until(lambda: alpha.connected("wc-1"), "the agent is there", 60)
        done = alpha("task", "submit", "wc", "--wait", "--json")
        assert done.code == 0, done.err
        with Terminal(
            {**alpha.environ, "NEXA_TOKEN": token},
            "--no-splash", "--record", str(recording),
        ) as terminal:  # fmt: skip
            terminal.until("wc-1|HEALTHY|healthy|alpha")
            terminal.press("4")
            terminal.take(0.5)
            told = planted.found_in(terminal.raw)
        assert told == []
        processes(planted, tmp_path)
    finally:
        said = end(program)

    sealed, plain = tmp_path / "sealed.backup", tmp_path / "plain.backup"
    seal = private(held / "seal", SEAL)
    planted.add("seal", SEAL, seal)
    assert alpha("cluster", "backup", str(plain)).code == 0
    assert alpha("cluster", "backup", str(sealed), "--key-file", str(seal)).code == 0
    told = {
        "arguments and results": done.out.encode() + said.encode(),
        "refusal": (refused.stdout + refused.stderr).encode(),
        "recording": recording.read_bytes(),
        "plain backup": plain.read_bytes(),
        "sealed backup": sealed.read_bytes(),
        **{
            " ".join(words): (alpha(*words).out + beta(*words).out).encode()
            for words in (
                ("audit", "export"),
                ("events", "--json"),
                ("logs", "--json"),
                ("token", "list", "--json"),
                ("cluster", "status", "--json"),
            )
        },
        "settings": alpha.program("config", "show").stdout.encode(),
        "metrics": metrics(town),
    }
    assert {
        key: found for key, text in told.items() if (found := planted.found_in(text))
    } == {}
    assert [key for key, text in told.items() if not text] == []
    for home in (alpha.home, beta.home, tmp_path / "late"):
        # Logins are kept where `nexa login` says, for this user alone.
        for path in (home / "config/tokens").glob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            planted.places.add(path)
    assert planted.found_under(tmp_path) == []
    keys_stay(tmp_path)


def metrics(town: Town) -> bytes:
    target = town.target("alpha")
    headers = {"Authorization": f"Bearer {target.token}"}
    with httpx.Client(base_url=target.url, trust_env=False, headers=headers) as http:
        return http.get("/metrics").raise_for_status().content


def processes(planted: Planted, folder: Path) -> None:
    """No argument holds a secret; no environment but that of who was given one there."""
    seen = 0
    for process in servers_under(folder / "alpha") + servers_under(folder / "beta"):
        family = [process, *process.children(recursive=True)]
        for one in family:
            proc = Path(f"/proc/{one.pid}")
            try:
                arguments = (proc / "cmdline").read_bytes()
                environ = (proc / "environ").read_bytes()
            except (OSError, psutil.NoSuchProcess):
                continue
            seen += 1
            assert planted.found_in(arguments) == [], arguments
            given = b"NEXA_TOKEN=" in environ and b"agent\0run" in arguments
            found = set(planted.found_in(environ))
            assert found <= ({"agent's token"} if given else set()), arguments
    assert seen >= 4, "two nodes, each with its store"


def keys_stay(folder: Path) -> None:
    """Keys that nodes made for themselves are in their own files and nowhere else."""
    keys = [
        path
        for path in folder.rglob("*")
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]
    assert keys
    bodies = Planted()
    for path in keys:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if "PRIVATE KEY" not in line and "-" * 5 not in line and len(line) == 64:
                bodies.secrets[f"{path}:{number}"] = line
        bodies.places.add(path)
    assert bodies.secrets
    assert bodies.found_under(folder) == []
