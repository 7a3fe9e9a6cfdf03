"""Plots of a page."""
