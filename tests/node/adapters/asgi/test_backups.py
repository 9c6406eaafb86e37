"""Backups over HTTP: an archive out in pieces, an archive in and told line by line."""

import msgspec
import pytest

from nexa_node.contract.cluster import Growth
from nexa_node.contract.errors import Conflict, Invalid
from tests.node.adapters.asgi.fake_node import Port


async def test_a_backup_is_streamed_without_a_length(port: Port) -> None:
    answer = await port.http.post("/v1/cluster/backup")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "content-length" not in answer.headers
    assert answer.content == b"an archive"


async def test_a_restore_reads_the_body_and_tells_how_far_it_is(port: Port) -> None:
    answer = await port.http.post("/v1/cluster/restore", content=b"an archive" * 999)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    told = [msgspec.json.decode(line, type=Growth) for line in answer.iter_lines()]
    assert told
    assert port.node.asked[-1] == ("restore", b"an archive" * 999)


@pytest.mark.parametrize("path", ["backup", "restore"])
@pytest.mark.parametrize(
    ("error", "status"), [(Conflict("not empty"), 409), (Invalid("damaged"), 400)]
)
async def test_what_is_refused_before_the_first_word_is_an_answer(
    port: Port, path: str, error: Conflict | Invalid, status: int
) -> None:
    port.node.fault = error
    answer = await port.http.post(f"/v1/cluster/{path}", content=b"x")
    assert answer.status_code == status
    assert answer.json()["detail"] == error.message
