"""scikit-learn: the inside of MLPClassifier's loop, without its checks and its label binarizer."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.peers.adam import RATE
from benchmarks.workloads import Problem


class ScikitLearn:
    """A training step by `_backprop` and the optimizer's `update_params`."""

    def __init__(self, problem: Problem, threads: int = 2) -> None:
        self.problem, self.threads = problem, threads
        dense = [layer for layer in problem.network.layers if layer.type == "dense"]
        units = [layer.shape[-1] for layer in dense]
        n = len(problem.x)
        self.net = MLPClassifier(
            units[:-1], alpha=0.0, batch_size=n, learning_rate_init=RATE, random_state=0
        )
        with warnings.catch_warnings():  # that one batch is no whole training
            warnings.simplefilter("ignore")
            self.net.partial_fit(problem.x, problem.y, classes=np.arange(units[-1]))
        self.names = [f"{layer.name}.{own}" for own in "Wb" for layer in dense]
        self.net.coefs_ = [problem.params[f"{layer.name}.W"].copy() for layer in dense]
        self.net.intercepts_ = [problem.params[f"{layer.name}.b"].copy() for layer in dense]
        self.params = self.net.coefs_ + self.net.intercepts_
        self.net._optimizer.__init__(self.params, RATE)
        self.target = np.eye(units[-1], dtype=np.float32)[problem.y]
        self.activations = [problem.x, *(np.empty((n, k), np.float32) for k in units)]
        self.deltas = [np.empty_like(a) for a in self.activations[1:]]
        self.found = [np.empty_like(w) for w in self.params]
        # Newer versions have a weight for each sample.
        weighted = "sample_weight" in inspect.signature(self.net._backprop).parameters
        self.data = (problem.x, self.target, *((None,) if weighted else ()))

    def step(self) -> Any:
        loss = self._backprop()
        self.net._optimizer.update_params(self.params, self.found)
        return loss

    def gradients(self) -> dict[str, np.ndarray]:
        self._backprop()
        return dict(zip(self.names, [g.copy() for g in self.found], strict=True))

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        return lambda: self.net._forward_pass_fast(x, check_input=False)

    def _backprop(self) -> Any:
        half = len(self.found) // 2
        work = (self.activations, self.deltas, self.found[:half], self.found[half:])
        loss, weights, biases = self.net._backprop(*self.data, *work)
        self.found = [*weights, *biases]
        return loss
