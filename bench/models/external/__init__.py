"""Checkpoints of the user's own, or of a hub, as models of a run."""
