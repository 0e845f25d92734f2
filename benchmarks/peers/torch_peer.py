"""PyTorch: the functions of `torch.nn.functional`, Adam with `fused=True`; eager or compiled.

Convolutions are tried with both memory formats. A recurrent layer gets its input time first,
which is how its kernel wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.layouts import from_torch, packed, to_torch, unpacked
from benchmarks.networks import run
from benchmarks.peers.adam import BETA1, BETA2, EPS, RATE
from benchmarks.threads import cores
from benchmarks.workloads import Problem

Params = dict[str, Tensor]


class Torch:
    """A training step in PyTorch, on all cores."""

    threads = 1  # PyTorch has a BLAS of its own

    def __init__(
        self,
        problem: Problem,
        compiled: bool = False,
        channels_last: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        torch.set_num_threads(cores())
        self.problem, self.compiled, self.dtype = problem, compiled, dtype
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        arrays = to_torch(packed(problem.params), problem.network)
        self.params = {name: self._tensor(w).requires_grad_() for name, w in arrays.items()}
        self.x, self.y = self._input(problem.x), torch.tensor(problem.y).reshape(-1)
        self.table = functions(training=True)
        self.running = {
            name: (torch.zeros(len(w), dtype=dtype), torch.ones(len(w), dtype=dtype))
            for name, w in self.params.items()
            if name.startswith("batch_norm") and name.endswith("gamma")
        }
        # Every workload compiles the same functions anew; after 8 times PyTorch would give up.
        torch._dynamo.config.cache_size_limit = 1000
        self.loss = torch.compile(self._loss) if compiled else self._loss
        self.adam = torch.optim.Adam(
            [*self.params.values()], lr=RATE, betas=(BETA1, BETA2), eps=EPS, fused=True
        )

    def step(self) -> Any:
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.x)
        loss.backward()
        self.adam.step()
        return loss.detach()

    def gradients(self) -> dict[str, np.ndarray]:
        self.adam.zero_grad(set_to_none=True)
        self.loss(self.x).backward()
        found = {name: w.grad.numpy().copy() for name, w in self.params.items()}
        shapes = {name: w.shape for name, w in self.problem.params.items()}
        return unpacked(from_torch(found, self.problem.network), shapes)

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        given, table = self._input(x), functions(training=False)
        params = self._all()

        def forward(given: Tensor) -> Tensor:
            return run(self.problem.network, table, params, given)

        best = torch.compile(forward) if self.compiled else forward

        def predict() -> Tensor:
            with torch.inference_mode():
                return best(given)

        return predict

    def _loss(self, x: Tensor) -> Tensor:
        z = run(self.problem.network, self.table, self._all(), x)
        return F.cross_entropy(z.reshape(-1, z.shape[-1]), self.y)

    def _all(self) -> dict[str, Any]:
        """The parameters, and the running averages of batch normalization beside them."""
        return {
            **self.params,
            **{name.replace("gamma", "running"): pair for name, pair in self.running.items()},
        }

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.tensor(array, dtype=self.dtype)
        return tensor.contiguous(memory_format=self.format) if tensor.ndim == 4 else tensor

    def _input(self, x: np.ndarray) -> Tensor:
        if x.dtype.kind == "i":
            return torch.tensor(x)
        if x.ndim == 4:
            return self._tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        if self.problem.network.layers[0].type in ("lstm", "gru"):
            return self._tensor(np.ascontiguousarray(x.swapaxes(0, 1)))
        return self._tensor(x)


def functions(training: bool) -> dict[str, Callable[..., Any]]:
    """{type: function(p, fields, *inputs)}; images are N,C,H,W and weights PyTorch's own."""

    def conv2d(p, fields, x):
        around = fields["kernel_size"] // 2 if fields.get("padding") == "same" else 0
        return F.conv2d(x, p["W"], p.get("b"), padding=around)

    def batch_norm(p, fields, x):
        return F.batch_norm(x, *p["running"], p["gamma"], p["beta"], training, 0.1, 1e-5)

    def layer_norm(p, fields, x, of=""):
        return F.layer_norm(x, x.shape[-1:], p["gamma" + of], p["beta" + of], 1e-5)

    def attention(p, fields, x):
        n, t, d = x.shape
        heads = fields["heads"]
        qkv = F.linear(x, p["W_qkv"], p["b_qkv"]).view(n, t, 3, heads, d // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=fields.get("causal", False))
        return F.linear(o.transpose(1, 2).reshape(n, t, d), p["W_o"], p["b_o"])

    def transformer_block(p, fields, x):
        x = x + attention(p, fields, layer_norm(p, fields, x, "_1"))
        hidden = F.linear(layer_norm(p, fields, x, "_2"), p["W_1"], p["b_1"])
        return x + F.linear(F.gelu(hidden), p["W_2"], p["b_2"])

    def recurrent(kernel, states):
        def layer(p, fields, x):
            start = x.new_zeros(1, x.shape[1], fields["units"])
            # torch.lstm has two biases where ours has one; the second is 0 and is not trained.
            second = p["c"] if "c" in p else torch.zeros_like(p["b"])
            weights = [p["W"], p["U"], p["b"], second]
            given = start if states == 1 else (start, start)
            return kernel(x, given, weights, True, 1, 0.0, training, False, False)[1][0]

        return layer

    return {
        "add": lambda p, fields, a, b: a + b,
        "batch_norm": batch_norm,
        "conv2d": conv2d,
        "dense": lambda p, fields, x: F.linear(x, p["W"], p["b"]),
        "embedding": lambda p, fields, token: F.embedding(token, p["E"]),
        "flatten": lambda p, fields, x: x.flatten(1),
        "gelu_tanh": lambda p, fields, x: F.gelu(x, approximate="tanh"),
        "global_avg_pool2d": lambda p, fields, x: x.mean((2, 3)),
        "gru": recurrent(torch.gru, 1),
        "layer_norm": layer_norm,
        "lstm": recurrent(torch.lstm, 2),
        "max_pool2d": lambda p, fields, x: F.max_pool2d(x, 2),
        "mean_over_time": lambda p, fields, x: x.mean(1),
        "multi_head_attention": attention,
        "positional_embedding": lambda p, fields, x: x + p["P"],
        "relu": lambda p, fields, x: F.relu(x),
        "transformer_block": transformer_block,
    }
