"""Training regimes: the first link of a recipe."""
