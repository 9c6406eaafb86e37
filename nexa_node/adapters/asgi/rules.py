"""Rules: what is evaluated, and how that went."""

from typing import Any

from nexa_node.adapters.asgi import alert_examples as examples
from nexa_node.adapters.asgi.operation import Call, Operation
from nexa_node.contract.alerts import Rule, RulesLoaded
from nexa_node.contract.rest import Page


async def list_rules(call: Call[Any, None]) -> Page[Rule]:
    """All in force."""
    return await call.api.rules(call.identity)


async def reload_rules(call: Call[Any, None]) -> RulesLoaded:
    """Read the files anew."""
    return await call.api.reload_rules(call.identity)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/rules",
        action="rules",
        tag="alerts",
        summary="List the rules in force, and what their last evaluation said",
        handler=list_rules,
        answer=Page[Rule],
        example=examples.RULES,
    ),
    Operation(
        method="POST",
        path="/v1/rules/reload",
        action="reload_rules",
        tag="alerts",
        summary="Read the rule files of all nodes anew",
        description="They are read anew by themselves, too, within seconds of a change."
        " What is wrong in them is a warning here, and what they said before stays in"
        " force.",
        handler=reload_rules,
        answer=RulesLoaded,
        example=examples.RULES_LOADED,
    ),
)
