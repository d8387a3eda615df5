"""The bundled toon-face domain: a drawn world whose truth is known, and networks trained on it."""
