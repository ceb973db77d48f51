"""gsgp22: SGD with weight decay, the rank of its gradients and of its weights.

The penalty here is (lam/2) sum ||W_l||^2, whose lam is PyTorch's `weight_decay`. Where the paper writes lam ||W||^2,
its lam is half of ours.
"""
