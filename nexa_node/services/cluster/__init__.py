"""Being one of several nodes: members, joining, duties, backups."""
