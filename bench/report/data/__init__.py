"""Records as rows: read, joined, averaged over seeds."""
