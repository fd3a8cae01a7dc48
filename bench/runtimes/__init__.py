"""Compressed checkpoints in other people's runtimes, through what these offer for it."""
