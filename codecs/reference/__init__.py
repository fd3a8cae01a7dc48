"""Coders read by the book, in plain Python: what the compiled ones must agree with."""
