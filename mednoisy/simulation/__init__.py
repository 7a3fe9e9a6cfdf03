"""Rounds of training, asking and revealing on a dataset that is wholly labeled: what a strategy is worth."""
