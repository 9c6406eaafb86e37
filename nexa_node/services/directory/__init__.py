"""What the node knows of everything: the read side."""
