"""MoCoGAN-HD (Tian et al. 2021): motion.py (network and Method; open it first), training.py with
critics.py, and the files of its authors (format.py)."""
