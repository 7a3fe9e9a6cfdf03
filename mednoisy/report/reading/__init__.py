"""What pages are made from: the files of runs and of rounds, read once."""
