"""Training: stages, checkpoints, validation, run folders."""
