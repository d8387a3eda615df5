"""What networks are made of, below every stage: operations (ops.py first), pure functions of
samples (covariance.py), things done to whole networks (modules.py), seeds, batches."""
