"""What is known of what we depend on: one command, the same here and in CI.

    python .ci/supply.py --bin .venv-supply/bin --environment .venv/bin/python --write nexa.cdx.json

1. bandit over the two packages: nothing of severity medium or above.
2. zizmor over the workflow templates, offline: nothing.
3. A bill of materials (CycloneDX 1.6) of the environment, nats-server among it.
4. pip-audit --strict over the locked packages. First a package with known faults is
   planted: an audit that lets it pass looks at nothing. Where no index answers with
   advisories the result is NOT CHECKED, said loudly, and exit code 0 unless --must-audit.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOCK = TOP / "constraints.txt"
PLANTED = "requests==2.19.0"
"""Has had advisories since 2018 (CVE-2018-18074), so an audit that works finds them."""
NO_ANSWER = re.compile(
    r"could not be audited|not found on PyPI|ConnectionError|Max retries|Service|Timeout",
    re.IGNORECASE,
)
ACCEPTED_BANDIT = ("B104",)
"""0.0.0.0 is compared with, not bound to; ruff's S104 sees each use and is on."""


class Failed(Exception):
    """A step found something."""


def step(text: str) -> None:
    """Say what comes next."""
    print(f"-- {text}", flush=True)


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program at the top of the repository; what it said is kept."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=TOP, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def demand(what: str, *words: str | Path) -> None:
    """Run a program that must find nothing.

    Raises:
        Failed: It found something.
    """
    step(what)
    said = run(*words)
    if said.returncode:
        raise Failed(f"{what}:\n{said.stdout}{said.stderr}")


def audited(tools: Path, lock: Path) -> tuple[str, str]:
    """`clean`, `faults` or `not checked`, and what pip-audit said."""
    said = run(
        tools / "pip-audit", "--strict", "--disable-pip", "--no-deps",
        "--progress-spinner", "off", "-f", "json", "-r", lock,
    )  # fmt: skip
    text = said.stdout + said.stderr
    if said.returncode == 0:
        told = json.loads(said.stdout or "{}").get("dependencies", [])
        looked_at = told and not any("skip_reason" in one for one in told)
        return ("clean" if looked_at else "not checked"), text
    if '"vulns": [{' in said.stdout:
        return "faults", text
    if NO_ANSWER.search(text):
        return "not checked", text
    raise Failed(f"pip-audit failed:\n{text}")


def audit(tools: Path, *, must: bool) -> str:
    """Look the locked packages up, once it is proved that looking up finds something.

    Raises:
        Failed: Something has known faults; or, if it `must`, nobody could be asked.
    """
    step(f"pip-audit goes red for {PLANTED}")
    with tempfile.TemporaryDirectory() as folder:
        planted = Path(folder) / "planted.txt"
        planted.write_text(PLANTED + "\n")
        verdict, text = audited(tools, planted)
    if verdict == "clean":
        raise Failed(f"pip-audit found nothing in {PLANTED}: it looks at nothing")
    if verdict == "faults":
        step("pip-audit of the locked packages")
        verdict, text = audited(tools, LOCK)
        if verdict == "faults":
            raise Failed(f"packages with known faults:\n{text}")
    if verdict == "not checked":
        last = (text.strip().splitlines() or ["no answer"])[-1]
        print(f"\n!!! NOT CHECKED for known faults: no index answers here ({last})\n")
        if must:
            raise Failed("--must-audit: run this where PyPI's advisories can be asked")
    return verdict


def with_server(document: Path, python: Path) -> None:
    """Add nats-server itself, by its hash, to the bill of materials."""
    said = run(
        python, "-c",
        "from nexa_node.adapters.nats.binary import BUNDLED_VERSION, KNOWN;"
        "print(BUNDLED_VERSION, *KNOWN)",
    )  # fmt: skip
    version, *hashes = said.stdout.split() or [""]
    if not hashes:
        raise Failed(f"the environment knows no nats-server:\n{said.stderr}")
    told = json.loads(document.read_text())
    part = {
        "type": "application",
        "bom-ref": f"nats-server@{version}",
        "name": "nats-server",
        "version": version,
        "purl": f"pkg:golang/github.com/nats-io/nats-server/v2@v{version}",
        "description": "supervised by each node; its hash is compared before a start",
        "hashes": [{"alg": "SHA-256", "content": one} for one in hashes],
    }
    told["components"].append(part)
    document.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def bill(tools: Path, python: Path, to: Path) -> None:
    """Write the bill of materials.

    Raises:
        Failed: It lacks something that is locked.
    """
    demand(
        f"a bill of materials in {to.name}", tools / "cyclonedx-py", "environment",
        "--spec-version", "1.6", "--output-reproducible", "-o", to, python,
    )  # fmt: skip
    with_server(to, python)
    told = json.loads(to.read_text())
    names = {one["name"].lower() for one in told["components"]}
    if not {"textual", "cryptography", "nats-server"} <= names:
        raise Failed(f"{to} lacks what nexa depends on: {sorted(names)}")
    digest = hashlib.sha256(to.read_bytes()).hexdigest()
    print(f"   {len(names)} components, sha256 {digest[:16]}…")


def main(words: list[str] | None = None) -> int:
    """Do all of it; 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--write", type=Path, required=True)
    parser.add_argument("--must-audit", action="store_true")
    given = parser.parse_args(words)
    tools, to = given.bin.absolute(), given.write.absolute()
    try:
        demand(
            "bandit: nothing of severity medium or above", tools / "bandit", "-q", "-r",
            "-ll", "-s", ",".join(ACCEPTED_BANDIT), "nexa_node", "nexa_tui",
        )  # fmt: skip
        demand(
            "zizmor: the workflow templates", tools / "zizmor", "--offline",
            "--no-progress", "--persona", "pedantic", "deploy/ci/checks.yml",
        )  # fmt: skip
        bill(tools, given.environment.absolute(), to)
        verdict = audit(tools, must=given.must_audit)
    except Failed as failed:
        print(f"found: {failed}", file=sys.stderr)
        return 1
    print(f"supply chain: bandit ok, workflows ok, bill written, audit {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
