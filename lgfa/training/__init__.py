"""What learns: trainer.py trains the motion model (config.py, data.py, prompts.py, losses.py,
objective.py), checkpoints.py and resume.py let it go on; toon/ holds the bundled domain's own."""
