"""Places for consoles: by identity and by address, given back when they leave."""

import pytest

from nexa_node.contract.errors import RateLimited
from nexa_node.core.seats import Seats


def test_one_identity_and_one_address_have_so_many_and_no_more() -> None:
    seats = Seats(per_identity=2, per_address=3)
    seats.take("token:a", "10.0.0.1")
    seats.take("token:a", "10.0.0.1")
    with pytest.raises(RateLimited, match="token:a watches with 2"):
        seats.take("token:a", "10.0.0.2")
    seats.take("token:b", "10.0.0.1")
    with pytest.raises(RateLimited) as refused:
        seats.take("token:c", "10.0.0.1")

    assert refused.value.details == {"limit": "http.consoles_per_address"}
    assert dict(seats.refused) == {
        "consoles_per_identity": 1,
        "consoles_per_address": 1,
    }


def test_a_place_is_given_back() -> None:
    seats = Seats(per_identity=1, per_address=1)
    for _ in range(3):
        seats.take("token:a", "10.0.0.1")
        seats.leave("token:a", "10.0.0.1")
