"""Adam as PyTorch has it by default, but for the rate: the optimizer of every workload."""

# A small rate: a batch that is trained on again and again would be known by heart soon, and what is
# left of its gradients then are numbers below 1e-38, which processors take ten times longer for.
RATE, BETA1, BETA2, EPS = 1e-5, 0.9, 0.999, 1e-8
