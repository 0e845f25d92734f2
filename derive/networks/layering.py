"""The equations of one layer in a network, with its parameters, states and draws.

    dense_2 after dense_1, relu        z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]

Training and answering are told apart here: an answer draws nothing and renews no state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from derive.language.notation import DeriveError, Equation, Index, Program, Tensor
from derive.library import size_expressions
from derive.library.bindings import bind, fits
from derive.library.definition import Binding, Case, Definition, Initial, ParameterRule, constant
from derive.library.definition import Layer as LayerUse
from derive.networks.instances import BATCH, Instance, Names, Value, instantiate
from derive.networks.network_parts import Draw, Initializer, Parameter, State, matrix_shape
from derive.networks.spec import Spec
from derive.networks.updates import lean

Public = Callable[[str], str]  # what a parameter of a layer is called in the network


@dataclass
class Equations:
    """Those of a training step, and those of an answer."""

    training: list[Equation] = field(default_factory=list)
    inference: list[Equation] = field(default_factory=list)

    def add(self, other: Equations) -> None:
        self.training += other.training
        self.inference += other.inference


@dataclass
class Built:
    """What the layers so far have made, by its public name."""

    spec: Spec
    names: Names
    parameters: dict[str, Parameter] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    draws: list[Draw] = field(default_factory=list)
    initializers: dict[tuple[Initial, Case], Initializer] = field(default_factory=dict)
    number: int = 0  # of the last layer
    open: str = ""  # the layer whose number an activation may still share

    def initializer(self, initial: Initial, name: str, shape: tuple[int, ...]) -> Initializer:
        """That of the parameter `name` of this shape."""
        definition = self.spec.definitions.find("initializer", initial.name)
        assert definition is not None, initial.name
        values = dict(definition.constants) | dict(initial.fields)
        case = _fitting(definition, values, name, shape)
        if (initial, case) not in self.initializers:
            program = lean(definition.program(case, constant(values)))
            draw = next((t.name for t in program.inputs if t.name in ("u", "e")), "")
            self.initializers[initial, case] = Initializer(initial.name, program, draw)
        initializer = self.initializers[initial, case]
        if initializer.is_matrix:
            rows, columns = initializer.program.equation("w").indices
            if rows.size == columns.size and len(set(matrix_shape(shape))) == 2:
                raise DeriveError(
                    f"{initial.name} initializes square matrices, but {name} has the shape {shape}"
                )
        return initializer


def _fitting(
    definition: Definition, values: dict[str, Any], name: str, shape: tuple[int, ...]
) -> Case:
    """The first case of an initializer that is meant for a parameter of this shape."""
    for case in definition.cases:
        known = values
        if case.formula.matrix:
            if len(shape) < 2:
                raise DeriveError(
                    f"{definition.name} initializes matrices, but {name} has the shape {shape}"
                )
            sizes = zip(case.formula.matrix, matrix_shape(shape), strict=True)
            known = {index.upper(): size for index, size in sizes} | values
        if fits(definition, case, known, ()):
            return case
    raise DeriveError(f"{definition.name} has no case for {name} of the shape {shape}")


class Layering:
    """One layer put into the network; an associative one once for each input after the first."""

    def __init__(
        self, network: Built, use: LayerUse, case: Case, public: Public, shared: bool
    ) -> None:
        self.network = network
        self.use = use
        self.case = case
        self.public = public
        self.shared = shared
        self.equations = Equations()
        fields = dict(use.fields)
        self.present = [r for r in case.parameters if not r.when or fields[r.when]]
        self.numbered = False

    def applied(self, inputs: Sequence[Value]) -> Value:
        """The layer's output for these inputs; its equations are added."""
        use, case, network = self.use, self.case, self.network
        values = dict(zip([p.name for p in case.inputs] or ["x"], inputs, strict=True))
        shapes = [[i.size for i in value.indices] for value in inputs]
        binding = bind(use.definition, case, dict(use.fields), shapes)
        program = use.definition.program(case, binding)
        targets = [e.target for e in program.equations]
        self.take_number(targets)
        parameters: dict[str, str | None] = {r.name: None for r in case.parameters}
        parameters |= {r.name: self.parameter_tensor(r) for r in self.present}
        before = {s.name: network.states.get(self.public(s.name)) for s in case.states}
        states = {n: s.axes.name if s else self.name(n) for n, s in before.items()}
        current = {n: s.next if s else states[n] for n, s in before.items()}
        draws = {d.name: self.name(d.name) for d in case.draws}
        named = {t: self.name(t) for t in targets}
        self.check_kinds(program, values)
        instance = instantiate(
            program, values, parameters | current | draws | named, binding, network.names
        )
        result = instance.result
        if not result.indices or result.indices[0].size != BATCH.size:
            raise DeriveError(f"the first axis of its result {result.target} must be the batch")
        for rule in self.present:
            self.add_parameter(rule, program, instance, binding)
        network.draws += [
            Draw(Tensor(draws[d.name], instance.axes[d.name]), d.distribution)
            for d in case.draws
            if d.name in instance.axes
        ]
        self.equations.training += instance.equations
        for state in case.states:
            self.add_state(state.name, state.initial, states, named, instance)
        self.add_inference(values, parameters | states, named, binding, instance)
        return Value(result.target, result.indices, use.name)

    def add_inference(
        self,
        values: Mapping[str, Value],
        given: Mapping[str, str | None],
        named: Mapping[str, str],
        binding: Binding,
        trained: Instance,
    ) -> None:
        """The equations of an answer: of the formula `inference`, else those of training.

        The result has the same name in both, so that the layers after it are the same too.
        """
        if self.case.inference is None and not self.case.states:
            self.equations.inference += trained.equations
            return
        definition, network = self.use.definition, self.network
        program = definition.program(self.case, binding, self.case.inference)
        tensors: dict[str, str | None] = dict(named)
        if self.case.inference is not None:
            tensors = {e.target: self.name(e.target) for e in program.equations[:-1]}
            tensors[program.result] = trained.result.target
        instance = instantiate(program, values, {**given, **tensors}, binding, network.names)
        if [i.size for i in instance.result.indices] != [i.size for i in trained.result.indices]:
            raise DeriveError("forward and inference have results of different shapes")
        steps = {named[f"{s.name}_next"] for s in self.case.states}
        self.equations.inference += [e for e in instance.equations if e.target not in steps]

    def take_number(self, targets: list[str]) -> None:
        """z_1 and a_1: an activation has the number of the layer that it is applied to."""
        if self.numbered:
            return
        self.numbered = True
        use, network = self.use, self.network
        activation = use.definition.kind == "activation"
        free = not any(f"{t}_{network.number}" in network.names.tensors for t in targets)
        if activation and not self.case.parameters and use.inputs == (network.open,) and free:
            network.open = ""
        else:
            network.number += 1
            network.open = "" if activation else use.name

    def name(self, name: str) -> str:
        return self.network.names.tensor(f"{name}_{self.network.number}")

    def check_kinds(self, program: Program, values: Mapping[str, Value]) -> None:
        for tensor in program.inputs:
            value = values.get(tensor.name)
            if value is None or tensor.kind != "integer":
                continue
            if value.tensor != "x":
                raise DeriveError(
                    f"{tensor.name} is used as an index, but {value.source} is not made of integers"
                )
            if not self.network.spec.input.is_tokens:
                raise DeriveError(
                    f'{tensor.name} is used as an index: add dtype = "int64" to [input]'
                )

    # Parameters and states.

    def parameter_tensor(self, rule: ParameterRule) -> str:
        known = self.network.parameters.get(self.public(rule.name))
        if known is not None:
            return known.tensor
        if self.shared:
            raise DeriveError(f"there is no parameter {self.public(rule.name)} to share")
        return self.name(rule.name)

    def add_parameter(
        self, rule: ParameterRule, program: Program, instance: Instance, binding: Binding
    ) -> None:
        name, network = self.public(rule.name), self.network
        axes = instance.axes[rule.name]
        indices = binding.expanded(rule.indices)
        sizes = dict(zip(indices, shape_of(rule.name, axes), strict=True))
        if name in network.parameters:
            shared, needed = network.parameters[name].shape, tuple(sizes.values())
            if shared != needed:
                raise DeriveError(f"{name} has the shape {shared}, but {needed} is needed here")
            return
        result = {i.name for i in program.equation(program.result).indices}
        spelled = {**binding.values, **{i.upper(): size for i, size in sizes.items()}}
        fan_in, fan_out = (
            size_expressions.size(text, spelled)
            if text
            else math.prod(size for i, size in sizes.items() if (i in result) is outgoing)
            for text, outgoing in ((rule.fan_in, False), (rule.fan_out, True))
        )
        tensor = Tensor(instance.tensors[rule.name] or "", axes)
        initializer = network.initializer(rule.initial, name, tuple(sizes.values()))
        network.parameters[name] = Parameter(name, tensor, initializer, fan_in, fan_out)

    def add_state(
        self,
        name: str,
        initial: float,
        tensors: Mapping[str, str],
        named: Mapping[str, str],
        instance: Instance,
    ) -> None:
        """A state that several layers share is renewed by one after the other."""
        public, following = self.public(name), named[f"{name}_next"]
        axes = next(e.indices for e in instance.equations if e.target == following)
        known = self.network.states.get(public)
        if known is None:
            state = State(public, Tensor(tensors[name], axes), initial, following)
        else:
            shapes = [shape_of(name, a) for a in (known.axes.axes, axes)]
            if shapes[0] != shapes[1]:
                raise DeriveError(
                    f"{public} has the shape {shapes[0]}, but {shapes[1]} is needed here"
                )
            state = replace(known, next=following)
        self.network.states[public] = state


def shape_of(name: str, axes: Iterable[Index]) -> tuple[int, ...]:
    """The sizes of axes that are not the batch."""
    sizes = tuple(i.size for i in axes)
    if not all(size.is_Integer for size in sizes):
        raise DeriveError(f"an axis of {name} has the size of the batch, which is not fixed")
    return tuple(map(int, sizes))
