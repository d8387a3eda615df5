"""Photographs: the face is found (faces.py) and cut out (align.py), and put back at the end
(paste.py); preview.py draws what was found."""
