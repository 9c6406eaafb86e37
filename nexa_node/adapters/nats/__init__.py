"""NATS JetStream: the engine underneath, supervised or attached to."""
