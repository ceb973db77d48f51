"""Arrays in, arrays out: linear algebra and combinatorics that know nothing of a feature model."""
