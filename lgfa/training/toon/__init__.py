"""How the bundled networks were trained, one file a network, over the one loop of fit.py; motion.py
uses the trainer beside this folder, variants.py holds the ablations."""
