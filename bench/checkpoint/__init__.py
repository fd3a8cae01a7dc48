"""Compressed checkpoints: the file format, and what makes, reads, compares and describes it."""
