"""`python -m hetal.report`: what finished runs say about each other, from their records alone."""
