"""The drawn world of toon faces, whose truth is known: parameters.py (what a face's numbers mean;
open it first), renderer.py and its parts, sampling.py, videos.py, captions.py, scene.py."""
