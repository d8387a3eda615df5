"""python -m lgfa.toon; the command itself is in cli/toon.py, above all that it trains."""
from runpy import run_module

run_module("lgfa.cli.toon", run_name="__main__")
