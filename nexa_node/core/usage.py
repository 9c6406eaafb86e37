"""What tasks spend, added up."""

from nexa_node.contract.tasks import Usage


def together(before: Usage | None, more: Usage | None) -> Usage | None:
    """Add `more` to what was spent before. Of two models the newer one is named."""
    if before is None or more is None:
        return more or before
    return Usage(
        model=more.model or before.model,
        input_tokens=before.input_tokens + more.input_tokens,
        output_tokens=before.output_tokens + more.output_tokens,
        cost_usd=before.cost_usd + more.cost_usd,
    )
