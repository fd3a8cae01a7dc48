"""Post-training transforms: the middle links of a recipe."""
