"""Trust between nodes: a cluster's authorities, certificates, and the door to join by."""
