"""Messages: direct, to topics, requests and their answers."""
