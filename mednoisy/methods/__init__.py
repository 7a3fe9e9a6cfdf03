"""What is learned from one batch: one file a method."""
