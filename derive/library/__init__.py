"""Definitions of layers, activations, losses, optimizers, initializers: format and library."""
