"""Figures of clips: registry.py measures with all of them (open it first), of_clips.py and
of_sets.py hold them over statistics.py and changes.py; extractors.py holds the networks that look."""
