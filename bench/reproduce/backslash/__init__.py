"""The studies of the BackSlash paper."""
