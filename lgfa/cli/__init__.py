"""The command line, one file a command; entry.py joins them (open it first), arguments.py holds
the types of options. Imports nothing heavy: `--help` must be quick."""
