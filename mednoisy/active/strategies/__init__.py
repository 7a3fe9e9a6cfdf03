"""How cases are chosen: a file a strategy, and their names."""
