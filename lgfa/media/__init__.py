"""Picture and clip files: images.py (any still picture -> tensor), decoding.py (files from
anywhere, opened safely), clips.py (frames -> WebP, GIF, PNG, MP4, WebM), sheets.py, examples.py."""
