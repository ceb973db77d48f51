"""Sets of points of one problem."""
