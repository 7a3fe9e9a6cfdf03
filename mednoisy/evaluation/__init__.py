"""Exact metrics and statistics, without torch or MONAI."""
