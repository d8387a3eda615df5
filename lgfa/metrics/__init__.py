"""Figures of clips: registry.py measures with all of them (open it first), of_clips.py and
of_sets.py hold the metrics over statistics.py; extractors.py holds the networks that look."""
