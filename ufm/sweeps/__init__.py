"""Grids of problems: specified once, run anywhere, interrupted and resumed."""
