"""Probability models and codes, apart from the coders that use them."""
