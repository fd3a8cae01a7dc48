"""Quantisers: the last link of a recipe."""
