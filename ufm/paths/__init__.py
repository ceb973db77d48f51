"""What joins points: branches in lam with their folds, paths and barriers, saddles and their minima, trajectories."""
