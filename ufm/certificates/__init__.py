"""Bounds and proofs as data."""
