"""Receivers, an Alertmanager and a Prometheus, as the settings describe them.

What speaks HTTP is imported only where there is somebody to speak to.
"""

from urllib.parse import urlsplit

from nexa_node.contract.errors import Invalid
from nexa_node.core.policies import AlertingPolicy, ReceiverPolicy
from nexa_node.ports import AlertmanagerServer, ForeignRules, Heart, Sender
from nexa_node.services.alerting.delivering import Receiver
from nexa_node.wiring.outgoing import Outgoing, Secret, said, secret, trust

_TIMEOUT_S = 10.0
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_HOUR_S = 3600.0


def receiver_of(policy: ReceiverPolicy, outgoing: Outgoing) -> Receiver:
    """Make a receiver; nothing is read or opened before it is used."""
    return Receiver(
        name=policy.name,
        kind=policy.kind,
        sender=_sender(policy, outgoing),
        send_resolved=policy.send_resolved,
        per_minute=policy.per_minute,
        retry_s=policy.retry_hours * _HOUR_S,
    )


def heart_of(policy: AlertingPolicy, outgoing: Outgoing) -> Heart | None:
    """The dead man's switch that is called; None if there is none."""
    if not policy.heartbeat_url_file:
        return None
    from nexa_node.adapters.notify.webhook import HeartbeatUrl

    client = outgoing.client(ca_file=policy.ca_file, timeout_s=_TIMEOUT_S, proxies=True)
    url = secret(policy.heartbeat_url_file, "[alerting] heartbeat_url_file")
    return HeartbeatUrl(client=client, url=url)


def alertmanager_of(
    policy: AlertingPolicy, outgoing: Outgoing
) -> AlertmanagerServer | None:
    """The Alertmanager; None if there is none."""
    if not policy.alertmanagers or policy.mode == "embedded":
        return None
    from nexa_node.adapters.prometheus.alertmanager import Alertmanager
    from nexa_node.adapters.prometheus.asking import Api

    client = outgoing.client(
        ca_file=policy.ca_file, timeout_s=_TIMEOUT_S, proxies=False
    )
    members = [
        Api(
            client=client,
            base=url,
            name="Alertmanager",
            username=policy.username,
            password=_password(policy),
        )
        for url in policy.alertmanagers
    ]
    return Alertmanager(members, runbooks=policy.runbook_base_url)


def foreign_rules_of(policy: AlertingPolicy, outgoing: Outgoing) -> ForeignRules | None:
    """The Prometheus that evaluates; None if nexa does that."""
    if policy.mode != "external":
        return None
    from nexa_node.adapters.prometheus.asking import Api
    from nexa_node.adapters.prometheus.rules import PrometheusRules

    client = outgoing.client(
        ca_file=policy.ca_file, timeout_s=_TIMEOUT_S, proxies=False
    )
    return PrometheusRules(
        Api(
            client=client,
            base=policy.prometheus,
            name="Prometheus",
            username=policy.username,
            password=_password(policy),
        )
    )


def mail_server(policy: ReceiverPolicy) -> tuple[str, int]:
    """Read `server`: a name or an address, and a port.

    Raises:
        Invalid: It is none.
    """
    try:
        parts = urlsplit(f"//{policy.server}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise Invalid(f"{policy.server[:80]!r} is no host:port")
    return host, port or _PORTS[policy.tls]


def _sender(policy: ReceiverPolicy, outgoing: Outgoing) -> Sender:
    where = f"[[receiver]] {policy.name}"
    if policy.kind == "email":
        from nexa_node.adapters.notify.smtp import Smtp

        host, port = mail_server(policy)
        return Smtp(
            host=host,
            port=port,
            tls=policy.tls,
            sender=policy.sender,
            to=policy.to,
            timeout_s=policy.timeout_ms / 1000,
            trust=lambda: trust(policy.ca_file),
            username=policy.username,
            password=secret(policy.password_file, f"{where} password_file")
            if policy.password_file
            else None,
        )
    client = outgoing.client(
        ca_file=policy.ca_file, timeout_s=policy.timeout_ms / 1000, proxies=True
    )
    url = (
        secret(policy.url_file, f"{where} url_file")
        if policy.url_file
        else said(policy.url)
    )
    token = (
        secret(policy.token_file, f"{where} token_file") if policy.token_file else None
    )
    if policy.kind == "slack":
        from nexa_node.adapters.notify.slack import Slack

        return Slack(client=client, url=url)
    if policy.kind == "pagerduty":
        from nexa_node.adapters.notify.pagerduty import URL, PagerDuty

        assert token is not None
        return PagerDuty(client=client, key=token, url=policy.url or URL)
    from nexa_node.adapters.notify.webhook import Webhook

    return Webhook(
        client=client,
        url=url,
        token=token,
        username=policy.username,
        password=secret(policy.password_file, f"{where} password_file")
        if policy.password_file
        else None,
    )


def _password(policy: AlertingPolicy) -> Secret | None:
    if not policy.password_file:
        return None
    return secret(policy.password_file, "[alerting] password_file")
