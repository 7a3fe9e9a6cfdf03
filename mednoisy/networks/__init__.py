"""Networks as published, and others on demand."""
