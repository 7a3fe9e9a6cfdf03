"""Runs from outside: checked before they begin, gone on with, opened again, cross-validated, used for predictions."""
