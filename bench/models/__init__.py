"""The model matrix: weights, data and a metric."""
