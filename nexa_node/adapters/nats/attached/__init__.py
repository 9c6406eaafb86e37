"""The store of a node that is attached to a NATS of its user's own."""
