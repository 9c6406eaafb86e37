"""Where metrics are found."""

import msgspec


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One line of Prometheus' HTTP service discovery."""

    targets: tuple[str, ...]
    """host:port of a node."""
    labels: dict[str, str]
    """`job` and `instance`, as the node's own history has them."""
