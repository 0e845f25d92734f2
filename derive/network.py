"""A spec composed into one forward program, and what the module of a network needs beside it.

dense(10) after dense(128), relu    ->    z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
                                          a_1[n,j] = where(0 < z_1[n,j], z_1[n,j], 0)
                                          z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
                                          L = mean[n](logsumexp[k](z_2[n,k]) - z_2[n,y[n]])
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sympy import Integer

from derive import size_expressions
from derive.definition import Case, Formula, Initial, ParameterRule
from derive.instances import BATCH, LETTERS, Instance, Names, Value, described, instantiate
from derive.notation import DeriveError, Equation, Index, Program, Tensor
from derive.spec import Layer as LayerUse
from derive.spec import Spec, Use
from derive.toml_positions import KeyPath, SpecError
from derive.updates import Optimizer, lean, optimizer


@dataclass(frozen=True)
class Initializer:
    """`w[...] = formula` for every element of a parameter.

    The program's inputs are at most one draw, `u[...]` (uniform on [0, 1)) or `e[...]` (standard
    normal), and the numbers `fan_in`, `fan_out`; constants are put in. `draw` is "u", "e" or "".
    """

    name: str  # "glorot_uniform"
    program: Program
    draw: str


@dataclass(frozen=True)
class Parameter:
    """A trained tensor."""

    name: str  # "dense_1.W", the public name
    axes: Tensor  # W_1[i,j], as the program reads it
    initializer: Initializer  # equal ones are the same object
    fan_in: int
    fan_out: int

    @property
    def tensor(self) -> str:
        """Its name in the program: "W_1"."""
        return self.axes.name

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(i.size) for i in self.axes.axes)


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


@dataclass(frozen=True)
class Network:
    """Everything that a module is generated from, besides what is plainly in the spec.

    In the program all sizes are numbers but that of the batch, the index `n` with size `N`. Its
    inputs are `x`, then `y` where the loss reads one, then the parameters in order; its results are
    `L` and the output. `predict` and `proba` are programs that read the output tensor alone.
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


def compose(spec: Spec) -> Network:
    """The spec as one program; raises `SpecError` where shapes do not fit."""
    return _Composition(spec).run()


class _Composition:
    """One walk over the layers. An axis keeps its index from layer to layer."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.names = Names({"x", "y", "L", str(BATCH.size)})
        self.equations: list[Equation] = []
        self.values: dict[str, Value] = {}
        self.layers: dict[str, Layer] = {}
        self.parameters: dict[str, Parameter] = {}
        self.initializers: dict[Initial, Initializer] = {}
        self.owners: dict[str, str] = {}  # layer -> the one whose parameters it uses
        self.number = 0
        self.open = ""  # the layer whose number an activation may still share

    def run(self) -> Network:
        spec = self.spec
        x = self.read_input()
        self.values["input"] = Value("x", x.axes, "the input")
        for use in spec.layers:
            self.add_layer(use)
        output = self.values[spec.layers[-1].name]
        y = self.add_loss(output)
        parameters = tuple(self.parameters.values())
        tensors = (x, *([y] if y else []), *(p.axes for p in parameters))
        loss = spec.loss.definition
        return Network(
            Program(tuple(self.equations), tensors, results=("L", output.tensor)),
            x,
            y,
            Tensor(output.tensor, output.indices),
            tuple(self.layers.values()),
            parameters,
            optimizer(spec),
            self.answer(loss.predict, output),
            self.answer(loss.proba, output),
        )

    def read_input(self) -> Tensor:
        """`x`, its axes called what the first layer that reads it calls them."""
        shape = self.spec.input.shape
        called: tuple[str, ...] = ()
        for use in self.spec.layers:
            for case in use.definition.cases:
                for pattern, name in zip(case.inputs, use.inputs, strict=False):
                    if name == "input" and pattern.fits(len(shape) + 1):
                        called = called or pattern.indices[1:]
        if called:
            called = ("t",) * (len(shape) - len(called)) + called
        else:
            called = LETTERS[: len(shape)]
        axes = [BATCH]
        for name, size in zip(called, shape, strict=True):
            axes.append(self.names.index(name, Integer(size), axes))
        return Tensor("x", tuple(axes), "integer" if self.spec.input.is_tokens else "real")

    def add_layer(self, use: LayerUse) -> None:
        inputs = [self.values[name] for name in use.inputs]
        case = self.fitting(use, inputs)
        values = dict(zip([p.name for p in case.inputs] or ["x"], inputs, strict=True))
        fields = dict(use.fields)
        program = use.definition.program(case, fields)
        self.take_number(use, case, [e.target for e in program.equations])
        self.owners[use.name] = self.owners[use.share] if use.share else use.name
        present = [r for r in case.parameters if not r.when or fields[r.when]]
        tensors: dict[str, str | None] = {r.name: None for r in case.parameters}
        tensors |= {r.name: self.parameter_tensor(use, r) for r in present}
        tensors |= {e.target: self.numbered(e.target) for e in program.equations}
        with _placed(self.spec, use.path, f"layer {use.name}"):
            self.check_kinds(program, values)
            instance = instantiate(program, values, tensors, fields, case.sizes, self.names)
            for rule in present:
                self.add_parameter(use, rule, program, instance)
            result = instance.result
            if not result.indices or result.indices[0].size != BATCH.size:
                raise DeriveError(f"the first axis of its result {result.target} must be the batch")
            shape = _shape(result.target, result.indices[1:])
        self.equations += instance.equations
        self.values[use.name] = Value(result.target, result.indices, use.name)
        self.layers[use.name] = Layer(
            use.name,
            use.type,
            use.inputs,
            tuple(e.target for e in instance.equations),
            result.target,
            shape,
            tuple(f"{self.owners[use.name]}.{rule.name}" for rule in present),
        )

    def fitting(self, use: LayerUse, values: list[Value]) -> Case:
        """The first case of the definition that the inputs fit."""
        for case in use.definition.cases:
            patterns = case.inputs
            if not patterns and len(values) == 1:
                return case
            if len(patterns) == len(values) and all(
                p.fits(len(v.indices)) for p, v in zip(patterns, values, strict=True)
            ):
                return case
        takes = " or ".join(
            ", ".join(map(str, case.inputs)) or "one input" for case in use.definition.cases
        )
        given = " and ".join(map(described, values))
        raise self.error(use, f"layer {use.name}: {use.type} takes {takes}, but is given {given}")

    def take_number(self, use: LayerUse, case: Case, targets: list[str]) -> None:
        """z_1 and a_1: an activation has the number of the layer that it is applied to."""
        activation = use.definition.kind == "activation"
        free = not any(f"{t}_{self.number}" in self.names.tensors for t in targets)
        if activation and not case.parameters and use.inputs == (self.open,) and free:
            self.open = ""
        else:
            self.number += 1
            self.open = "" if activation else use.name

    def numbered(self, name: str) -> str:
        return self.names.tensor(f"{name}_{self.number}")

    def check_kinds(self, program: Program, values: Mapping[str, Value]) -> None:
        for tensor in program.inputs:
            value = values.get(tensor.name)
            if value is None or tensor.kind != "integer":
                continue
            if value.tensor != "x":
                raise DeriveError(
                    f"{tensor.name} is used as an index, but {value.source} is not made of integers"
                )
            if not self.spec.input.is_tokens:
                raise DeriveError(
                    f'{tensor.name} is used as an index: add dtype = "int64" to [input]'
                )

    # Parameters.

    def parameter_tensor(self, use: LayerUse, rule: ParameterRule) -> str:
        if not use.share:
            return self.numbered(rule.name)
        shared = self.parameters.get(f"{self.owners[use.name]}.{rule.name}")
        if shared is None:
            raise self.error(use, f"{use.share} has no parameter {rule.name} to share")
        return shared.tensor

    def add_parameter(
        self, use: LayerUse, rule: ParameterRule, program: Program, instance: Instance
    ) -> None:
        name = f"{self.owners[use.name]}.{rule.name}"
        axes = instance.axes[rule.name]
        sizes = dict(zip(rule.indices, _shape(rule.name, axes), strict=True))
        if name in self.parameters:
            shared, needed = self.parameters[name].shape, tuple(sizes.values())
            if shared != needed:
                raise DeriveError(f"{name} has the shape {shared}, but {needed} is needed here")
            return
        result = {i.name for i in program.equations[-1].indices}
        spelled = {i.upper(): size for i, size in sizes.items()}
        spelled |= {k: v for k, v in use.fields if isinstance(v, int)}
        fan_in, fan_out = (
            size_expressions.value(text, spelled)
            if text
            else math.prod(size for i, size in sizes.items() if (i in result) is outgoing)
            for text, outgoing in ((rule.fan_in, False), (rule.fan_out, True))
        )
        tensor = Tensor(instance.tensors[rule.name] or "", axes)
        initializer = self.initializer(rule.initial)
        self.parameters[name] = Parameter(name, tensor, initializer, fan_in, fan_out)

    def initializer(self, initial: Initial) -> Initializer:
        if initial not in self.initializers:
            definition = self.spec.definitions.find("initializer", initial.name)
            assert definition is not None, initial.name
            values = dict(definition.constants) | dict(initial.fields)
            program = lean(definition.program(definition.cases[0], values))
            draw = next((t.name for t in program.inputs if t.name in ("u", "e")), "")
            self.initializers[initial] = Initializer(initial.name, program, draw)
        return self.initializers[initial]

    # Loss.

    def add_loss(self, output: Value) -> Tensor | None:
        """Appends the loss as `L`; gives the target `y` as the loss reads it."""
        use = self.spec.loss
        program = use.definition.program(use.definition.cases[0], dict(use.fields))
        *steps, last = program.equations
        tensors: dict[str, str | None] = {e.target: self.names.tensor(e.target) for e in steps}
        tensors |= {"y": "y", last.target: "L"}
        with _placed(self.spec, use.path, f"loss {use.type}"):
            if last.indices:
                result = Tensor(last.target, last.indices)
                raise DeriveError(f"{result} is no scalar: sum it or take its mean")
            instance = instantiate(
                program, {"z": output}, tensors, dict(use.fields), (), self.names
            )
        self.equations += instance.equations
        kinds = {t.name: t.kind for t in program.inputs}
        return Tensor("y", instance.axes["y"], kinds["y"]) if "y" in instance.axes else None

    def answer(self, formula: Formula | None, output: Value) -> Program | None:
        """The program of `predict` or `proba`, of the output alone."""
        if formula is None:
            return None
        use = self.spec.loss
        program = use.definition.answer(formula, dict(use.fields))
        tensors = {e.target: self.names.tensor(e.target) for e in program.equations}
        with _placed(self.spec, use.path, f"loss {use.type}"):
            instance = instantiate(
                program, {"z": output}, tensors, dict(use.fields), (), self.names
            )
        return Program(instance.equations, (Tensor(output.tensor, output.indices),))

    def error(self, use: Use, message: str) -> SpecError:
        return SpecError((self.spec.document.at_key(use.path, message),))


def _shape(name: str, axes: Iterable[Index]) -> tuple[int, ...]:
    """The sizes of axes that are not the batch."""
    sizes = tuple(i.size for i in axes)
    if not all(size.is_Integer for size in sizes):
        raise DeriveError(f"an axis of {name} has the size of the batch, which is not fixed")
    return tuple(map(int, sizes))


@contextmanager
def _placed(spec: Spec, path: KeyPath, who: str) -> Iterator[None]:
    """Gives an error its place in the spec, and says what it is about."""
    try:
        yield
    except SpecError:
        raise
    except DeriveError as error:
        raise SpecError((spec.document.at_key(path, f"{who}: {error}"),)) from None
