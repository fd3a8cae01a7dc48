"""Weights in other people's formats, read without running anything that a file says."""
