"""Which alerts explain which others: nexa's own rules, and the operator's after them."""

from collections.abc import Iterable

from nexa_node.contract.errors import Invalid
from nexa_node.contract.matchers import parse_matcher
from nexa_node.core.alerting.silences import Inhibition, compiled as matchers
from nexa_node.core.policies import InhibitPolicy


def _explains(source: str, target: str, *equal: str) -> InhibitPolicy:
    """One alert explains others by name, which may be a regular expression."""
    return InhibitPolicy(
        source=(f'alertname="{source}"',),
        target=(f'alertname=~"{target}"',),
        equal=equal,
    )


BUILTIN = (
    InhibitPolicy(
        source=('alertname="NexaNodeDown"',),
        target=('alertname!="NexaNodeDown"', 'instance!=""'),
        equal=("instance",),
    ),
    _explains(
        "NexaQuorumLost",
        "NexaStreamNoLeader|NexaReplicasMissing|NexaReplicationLag|NexaLeaderFlapping",
    ),
    _explains("NexaStoreDown", "NexaStoreSlow|NexaStoreRestarting", "instance"),
    _explains("NexaCpuCritical", "NexaCpuHigh|NexaCpuPressure", "instance"),
    _explains("NexaMemoryCritical", "NexaMemoryLow", "instance"),
    _explains("NexaDiskCritical", "NexaDiskFillingSoon", "instance", "mountpoint"),
    _explains("NexaEventLoopBlocked", "NexaEventLoopLag", "instance"),
    _explains("NexaConnectionsFull", "NexaConnectionsHigh", "instance"),
    _explains("NexaQueueOverflow", "NexaQueueBacklog", "queue"),
    _explains("NexaDeliveryCrawling", "NexaDeliverySlow", "destination"),
    _explains(
        "NexaCertificateExpiringCritical", "NexaCertificateExpiring", "instance", "cert"
    ),
    _explains("NexaAuthBruteForce", "NexaAuthFailureBurst"),
    _explains("NexaDeliveryBudgetBurnFast", "NexaDeliveryBudgetBurn(Medium|Slow)"),
    _explains("NexaDeliveryBudgetBurnMedium", "NexaDeliveryBudgetBurnSlow"),
    _explains("NexaRuleFailing", "NexaRuleEvaluationFailing"),
)
"""What is critical explains its own warning, a node that is gone all that it said."""


def compiled(policies: Iterable[InhibitPolicy]) -> tuple[Inhibition, ...]:
    """Make all rules of inhibition ready for use.

    Raises:
        Invalid: A condition of the operator's is none.
    """
    return tuple(compile_one(policy) for policy in (*BUILTIN, *policies))


def compile_one(policy: InhibitPolicy) -> Inhibition:
    """Make one rule ready for use.

    Raises:
        Invalid: A condition of it is none, or it has none at all.
    """
    if not policy.source or not policy.target:
        raise Invalid("an inhibition has at least one source and one target condition")
    return Inhibition(
        source=matchers(parse_matcher(each) for each in policy.source),
        target=matchers(parse_matcher(each) for each in policy.target),
        equal=policy.equal,
    )
