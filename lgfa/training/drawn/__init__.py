"""Trainings of a drawn domain's networks, whichever it is, one file a network over the one loop of
fit.py (open it first); what a domain chooses for its own is beside, in toon/."""
