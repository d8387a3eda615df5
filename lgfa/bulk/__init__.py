"""Many clips from a table: state.py (what survives a stop), show.py (lines on the terminal),
bounded.py (what others send, within limits), errors.py; comfyui/ goes through a server."""
