"""The console and the command line: everything a person at a terminal uses."""
