"""What rows say: standings, intervals, Pareto fronts, comparisons."""
