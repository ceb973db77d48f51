"""Figures of papers, and ours to the same questions: one file each, with `FIGURE`."""
