"""What happened: events kept, and told to consoles."""
