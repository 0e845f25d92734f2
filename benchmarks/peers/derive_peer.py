"""Ours: the public calls of the generated module, its checks of what it is given included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads import Problem, module


class Derive:
    """`Model.train_step`, `forward` and `Model.predict` of the module of a workload."""

    def __init__(self, problem: Problem, threads: int = 1) -> None:
        self.problem, self.threads = problem, threads
        self.module = module(problem.workload)
        self.model = self.module.Model()
        for name, array in problem.params.items():
            self.model.params[name][...] = array

    def step(self) -> float:
        return self.model.train_step(self.problem.x, self.problem.y)

    def gradients(self) -> dict[str, np.ndarray]:
        return self.module.value_and_grad(self.model.params, self.problem.x, self.problem.y)[1]

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        return lambda: self.module.forward(self.model.params, x)

    def labeller(self, x: np.ndarray) -> Callable[[], Any]:
        """As `predictor`, for the labels."""
        return lambda: self.model.predict(x)
