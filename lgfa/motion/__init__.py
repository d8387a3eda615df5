"""Embeddings -> motion codes -> offsets: model.py joins the encoders, the recurrence
(recurrent.py, eq. 3-5) and the mappers (mappers.py, eq. 6-7); understanding.py says what a
sentence is taken for. Open model.py first."""
