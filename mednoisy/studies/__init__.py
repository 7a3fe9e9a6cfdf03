"""Grids of runs: bundles, methods, recipes, labels, seeds and starts, each run once, and what they show."""
