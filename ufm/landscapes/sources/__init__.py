"""Sources of points, one idea a file (`landscapes.sources.source`): they know the problem and nothing of the table."""
