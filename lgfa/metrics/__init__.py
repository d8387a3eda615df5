"""Figures of clips: registry.py measures with all of them (open it first), of_clips.py and
of_sets.py hold them over statistics.py and changes.py; in extractors.py are networks that look."""
