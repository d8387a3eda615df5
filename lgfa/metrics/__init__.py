"""Metrics: extractors (networks that look), statistics (pure functions) and their registry."""
