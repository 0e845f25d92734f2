"""What a network is made of: layers, parameters, states, draws, and the programs that use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from derive.language.notation import Program, Tensor
from derive.networks.updates import Optimizer


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of an array whose axes before the last one are merged."""
    return math.prod(shape[:-1]), shape[-1]


@dataclass(frozen=True)
class Initializer:
    """`w[...] = formula` for every element of a parameter, or `w[i,j] = formula` for a matrix.

    The program's inputs are at most one draw, `u[...]` (uniform on [0, 1)) or `e[...]` (standard
    normal), and the numbers `fan_in`, `fan_out`; constants are put in. `draw` is "u", "e" or "".
    Of a matrix the draws are `u[i,j]` and `e[i,j]`.
    """

    name: str  # "glorot_uniform"
    program: Program
    draw: str

    @property
    def is_matrix(self) -> bool:
        return len(self.program.equation("w").indices) == 2


@dataclass(frozen=True)
class Parameter:
    """A trained tensor."""

    name: str  # "dense_1.W", the public name
    axes: Tensor  # W_1[i,j], as the program reads it
    initializer: Initializer  # equal ones are the same object
    fan_in: int
    fan_out: int
    repeat: int = 1  # of how many layers it holds the values, along its first axis

    @property
    def tensor(self) -> str:
        """Its name in the program: "W_1"."""
        return self.axes.name

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(i.size) for i in self.axes.axes)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """As an initializer of matrices sees it: the axes before the last one are one."""
        return matrix_shape(self.shape[self.repeat > 1 :])


@dataclass(frozen=True)
class State:
    """A tensor that a training step renews, and that is not trained: a running mean."""

    name: str  # "batch_norm_1.running_mean", the public name
    axes: Tensor  # running_mean_1[c], as the programs read it
    initial: float  # of every element
    next: str  # the target that is its value after the step: "running_mean_next_1"


@dataclass(frozen=True)
class Draw:
    """A tensor of random numbers, new in every training step; nothing is derived by it."""

    axes: Tensor  # u_1[n,i]
    distribution: str  # "uniform", on [0, 1), or "normal"


@dataclass(frozen=True)
class Layer:
    """One layer of the network: what it is called and what it computes."""

    name: str  # "dense_1"
    type: str  # "dense"
    inputs: tuple[str, ...]  # names of layers, or "input"
    equations: tuple[str, ...]  # the targets of its equations in the program
    output: str  # the last of them
    shape: tuple[int, ...]  # of the output, without the batch axis
    parameters: tuple[str, ...]  # public names, shared ones too
    formula: str = ""  # as its definition has it
    repeat: int = 1


@dataclass(frozen=True)
class Network:
    """Everything that a module is generated from, besides what is plainly in the spec.

    In the programs all sizes are numbers but that of the batch, the index `n` with size `N`.

    program     a training step: its inputs are `x`, then `y` where the loss reads one, then the
                parameters in order, the states and the draws; its results are `L`, the output and
                the next values of the states
    inference   the same network as it answers: no draws, states are only read; `L` and the output
    loss        `L` alone, of the output tensor and `y`
    predict, proba    of the output tensor alone
    """

    program: Program
    input: Tensor  # x[n, ...]
    target: Tensor | None  # y, or None where the loss reads no target
    output: Tensor  # the last layer's, with its indices
    layers: tuple[Layer, ...]
    parameters: tuple[Parameter, ...]
    optimizer: Optimizer
    predict: Program | None
    proba: Program | None
    states: tuple[State, ...]
    draws: tuple[Draw, ...]
    inference: Program
    loss: Program
