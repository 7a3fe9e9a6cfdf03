"""Mixing and noise: pure functions of tensors and a draw."""
