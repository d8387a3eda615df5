"""Pictures and sentences -> vectors and latents: clip.py (CLIP), sentences.py, e4e.py (picture ->
W+), invert.py, identity.py and inception_resnet.py (faces), perceptual.py (LPIPS)."""
