"""Adam as PyTorch has it by default: the optimizer of every workload."""

RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
