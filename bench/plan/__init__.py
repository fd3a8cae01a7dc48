"""From models, recipes, codecs and seeds to the cells of a run."""
