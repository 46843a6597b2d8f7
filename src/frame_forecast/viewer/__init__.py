"""The page and its server. Neither it nor what it imports at its start knows torch or NumPy: the worker does."""
