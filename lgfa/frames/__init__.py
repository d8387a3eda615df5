"""Latents -> pictures: stylegan2.py (the generator), render.py (a path -> frames in chunks),
arrange.py (several clips), latent_space.py (what W is like)."""
