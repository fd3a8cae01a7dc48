"""Runs and results as Python functions, for those who work in a notebook."""
