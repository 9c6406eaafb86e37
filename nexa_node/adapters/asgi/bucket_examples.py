"""What the operations on shared state answer, by example."""

from datetime import UTC, datetime

from nexa_node.contract.rest import Page
from nexa_node.contract.shared import (
    Bucket,
    ConflictRecord,
    SharedValue,
    Side,
    Written,
)

_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_STAMP = "019ab1f0c400.0000@alpha"

BUCKET = Bucket(name="limits", kind="lww")
BUCKETS = Page(items=(BUCKET,))
VALUE = SharedValue(
    bucket="limits",
    key="wc",
    kind="lww",
    value={"threshold": 3},
    revision=7,
    by="token:ab12",
    node="alpha",
    time=_NOON,
    stamp=_STAMP,
)
VALUES = Page(items=(VALUE,))
_LOST = Written(
    by="token:cd34",
    node="beta",
    time=_NOON,
    stamp="019ab1f0c3ff.0000@beta",
    value={"threshold": 5},
    base=6,
)
CONFLICT = ConflictRecord(
    id="value-019ab1f0c3ff-0000-beta",
    time=_NOON,
    kind="value",
    subject="bucket/limits/wc",
    message="limits/wc: what token:cd34 wrote was not kept, a later one was",
    sides=(
        Side(
            name="token:ab12",
            kept=True,
            did=("token:ab12 wrote at 2026-11-22 12:00:00 through alpha",),
        ),
        Side(name="token:cd34", kept=False, writes=(_LOST,)),
    ),
)
CONFLICTS = Page(items=(CONFLICT,))
