"""Base classes of codecs that share a way of coding."""
