"""Pages, figures and tables from a run's own files."""
