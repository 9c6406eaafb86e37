"""Files: settings, credentials, logs, the lock on the state folder."""
