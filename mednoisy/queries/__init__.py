"""Which cases to annotate next, and what comes back corrected."""
