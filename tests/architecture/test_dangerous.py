"""Every change somebody can ask for is weighed: dangerous ones have a plan."""

import pytest

from nexa_node.adapters.asgi.operation import Operation
from nexa_node.adapters.asgi.operations import OPERATIONS
from nexa_node.adapters.asgi.paging import DryRunQuery
from nexa_node.services.planning.plan_calls import PlanCalls

HARMLESS = {
    # what is added, and can be taken back
    "submit": "a task can be cancelled",
    "send": "a message is read, or its time ends",
    "put_object": "kept under its own hash, for a while",
    "create_token": "it can be revoked",
    "issue_certificate": "it can be revoked",
    "create_role": "it can be written as it was before",
    "create_silence": "it can be expired, and ends by itself",
    "join_token": "good once, for minutes",
    "declare_bucket": "an empty one",
    "note_alert": "a line of text",
    # what is guarded otherwise
    "write_value": "If-Match names the value that was seen",
    "delete_value": "If-Match names the value that was seen",
    "rotate_token": "the secret before works for as long as the caller says",
    "renew_certificate": "the certificate before works until it ends",
    # what is undone by its opposite
    "maintain": "on and off",
    "drain_agent": "drained and resumed",
    "ack_alert": "ack and unack",
    "unack_alert": "ack and unack",
    "expire_silence": "the same silence can be made again",
    "dismiss_alert": "only of one that is over; its history stays",
    "reload_rules": "files that are wrong are refused, the old ones stay",
    "set_namespace": "limits can be set as they were",
    "delete_namespace": "the same limits can be set again; what is in it stays",
    # one thing, named by whoever asked for it
    "cancel": "one task by its id; it can be submitted again",
    # nothing of the cluster changes
    "profile": "looks",
    "backup": "reads",
    "preview_silence": "looks",
    "run_selftest": "looks",
    "test_receivers": "tells of an alert that is none",
    "watchdog": "says that somebody is there",
    "prometheus": "a query",
    "open": "logs in",
}
"""Changes without a plan, by action, and why they need none."""

CHANGES = [one for one in OPERATIONS if one.method != "GET"]


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.mark.parametrize("operation", CHANGES, ids=name_of)
def test_a_change_is_dangerous_and_has_a_plan_or_it_is_said_why_not(
    operation: Operation,
) -> None:
    if not operation.dangerous:
        assert operation.action in HARMLESS, (
            f"{name_of(operation)}: put dangerous=True on its row and its action into"
            " services/planning/plan_calls.py; or say here why it needs no plan"
        )
        return
    assert operation.action not in HARMLESS
    assert operation.action in PlanCalls.plannable()
    assert issubclass(operation.query, DryRunQuery)


def test_only_what_is_dangerous_takes_a_dry_run() -> None:
    dry = {one.action for one in OPERATIONS if issubclass(one.query, DryRunQuery)}

    assert dry == {one.action for one in OPERATIONS if one.dangerous}
    assert dry == PlanCalls.plannable()


def test_what_is_said_to_be_harmless_is_there() -> None:
    assert set(HARMLESS) <= {one.action for one in CHANGES}


def test_what_the_design_calls_dangerous_has_a_plan() -> None:
    named = {"drain", "remove_node", "leave", "restore", "set_replicas", "rotate_keys"}
    named |= {"redrive", "purge", "revoke_token", "delete_role", "disconnect"}

    assert named <= PlanCalls.plannable()
