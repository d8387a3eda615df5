"""Pickles as data: nothing in them is ever run. reader.py reads files, machine.py is the stack
machine, allowed.py holds every name that a pickle may mention, values.py what it may build."""
