"""Paths in W+, functions over plain tensors: wplus.py (strength, timing, order; open it first),
chain.py (expressions after each other), timing.py, timeline.py (its text), layers.py (mixing)."""
