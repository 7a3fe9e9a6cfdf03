"""Figures as tables: of a page, of a terminal, of a paper."""
