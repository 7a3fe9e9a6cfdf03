"""What a finished run deploys, for other programs: one file of a network, or a MONAI bundle that stands for itself."""
