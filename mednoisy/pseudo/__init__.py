"""What turns a prediction into a label."""
