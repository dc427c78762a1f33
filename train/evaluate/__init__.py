"""Measuring scorers, judges and annotators: on preference pairs, on candidates (best-of-N), on annotated traces."""
