"""Ways to people: webhooks, e-mail, Slack, PagerDuty. Each is a `ports.Sender`."""
