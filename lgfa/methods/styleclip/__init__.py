"""StyleCLIP (Patashnik et al. 2021): optimisation.py, mapper.py with its training, directions.py
with what is measured for them (relevance.py), and the files of its authors (format.py)."""
