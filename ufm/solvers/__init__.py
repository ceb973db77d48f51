"""Ways down: gradient descent, gradient flow, L-BFGS, Newton, many starts."""
