"""The command line: one file per noun, imported when asked for."""
