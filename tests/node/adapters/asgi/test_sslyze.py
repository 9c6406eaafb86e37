"""T17: what sslyze says of the port. Run by `make tls`, in an environment of its own."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nexa_node.core.policies import HttpPolicy
from tests.certificates import folder_at, port_of
from tests.node.adapters.asgi.fake_node import opened

PYTHON = os.environ.get("NEXA_TEST_SSLYZE", "")
PATIENT = HttpPolicy(header_timeout_ms=20_000, shutdown_timeout_ms=300)
"""It waits five seconds for us to speak first, which is as long as we wait for it."""
NEVER = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")

pytestmark = pytest.mark.skipif(not PYTHON, reason="make tls runs it")


@pytest.fixture
async def told(tmp_path: Path) -> dict[str, Any]:
    report = tmp_path / "report.json"
    async with opened(policy=PATIENT, tls=port_of(folder_at(tmp_path / "tls"))) as port:
        words = [PYTHON, "-m", "sslyze", f"--json_out={report}", "--quiet"]
        await asyncio.to_thread(
            subprocess.run, [*words, f"127.0.0.1:{port.number}"], check=False
        )
    (server,) = json.loads(report.read_text())["server_scan_results"]
    assert server["connectivity_status"] == "COMPLETED"
    return {
        name: one["result"]
        for name, one in server["scan_result"].items()
        if one["status"] == "COMPLETED"
    }


async def test_t17_nothing_but_tls_1_3_and_nothing_weak(told: dict[str, Any]) -> None:
    accepted = {
        name.removesuffix("_cipher_suites"): {
            suite["cipher_suite"]["name"] for suite in result["accepted_cipher_suites"]
        }
        for name, result in told.items()
        if name.endswith("_cipher_suites")
    }

    assert [accepted[version] for version in NEVER] == [set()] * len(NEVER)
    assert accepted["tls_1_3"] == {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
    assert not told["tls_compression"]["supports_compression"]
    assert not told["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not told["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert told["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    renegotiation = told["session_renegotiation"]
    assert not renegotiation["is_vulnerable_to_client_renegotiation_dos"]
    curves = {one["name"] for one in told["elliptic_curves"]["supported_curves"]}
    assert "X25519" in curves
    assert not {one for one in curves if one.startswith(("sect", "secp1", "secp224"))}
