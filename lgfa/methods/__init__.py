"""Ways to move the latents: method.py says what an Animator asks of one, recurrent.py is the
paper's; baselines.py lists those it is compared with; a folder holds one published method."""
