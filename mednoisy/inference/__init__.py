"""Sliding windows, prediction, export."""
