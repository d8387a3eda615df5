"""How the toon domain's networks were trained, a file a network: seeds, sizes and steps over the
trainings of drawn/; recipes.py names them (open it first), variants.py holds the ablations."""
