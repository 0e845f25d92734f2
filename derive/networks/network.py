"""A spec composed into one forward program, and what the module of a network needs beside it.

dense(10) after dense(128), relu    ->    z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
                                          a_1[n,j] = where(0 < z_1[n,j], z_1[n,j], 0)
                                          z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
                                          L = mean[n](logsumexp[k](z_2[n,k]) - z_2[n,y[n]])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any

from sympy import Integer

from derive.language.notation import DeriveError, Equation, Program, Tensor, indices
from derive.library import size_expressions
from derive.library.bindings import bind, fits
from derive.library.definition import Binding, Case, Computed, Formula
from derive.library.definition import Layer as LayerUse
from derive.library.toml_positions import KeyPath, SpecError
from derive.library.uses import checked
from derive.networks.instances import BATCH, LETTERS, Names, Value, described, instantiate
from derive.networks.layering import Built, Equations, Layering, Public, shape_of
from derive.networks.network_parts import Draw, Initializer, Layer, Network, Parameter, State
from derive.networks.repetition import Repetition
from derive.networks.spec import Spec
from derive.networks.updates import optimizer

__all__ = ["Draw", "Initializer", "Layer", "Network", "Parameter", "State", "compose"]


def compose(spec: Spec) -> Network:
    """The spec as one program; raises `SpecError` where shapes do not fit."""
    return _Composition(spec).run()


class _Composition:
    """One walk over the layers. An axis keeps its index from layer to layer."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.built = Built(spec, Names({"x", "y", "L", str(BATCH.size)}))
        self.names = self.built.names
        self.equations = Equations()
        self.values: dict[str, Value] = {}
        self.layers: dict[str, Layer] = {}
        self.public: dict[str, Public] = {}
        self.outputs: dict[str, str] = {}  # of a layer made of layers the last one
        self.loss: tuple[Equation, ...] = ()
        self.path: KeyPath = ()  # the table of the spec that is read

    def run(self) -> Network:
        spec = self.spec
        x = self.read_input()
        self.values["input"] = Value("x", x.axes, "the input")
        for (_, repeat), uses in groupby(spec.layers, key=lambda u: (u.path[:2], u.repeat)):
            if repeat > 1:
                self.add_repeated(tuple(uses), repeat)
            else:
                for use in uses:
                    self.add_use(use)
        last = spec.layers[-1].name
        output = self.values[self.outputs.get(last, last)]
        self.path = spec.loss.path
        y = self.add_loss(output)
        parameters = tuple(self.built.parameters.values())
        states = tuple(self.built.states.values())
        tensors = (
            *(x, *([y] if y else [])),
            *(p.axes for p in parameters),
            *(s.axes for s in states),
        )
        out = Tensor(output.tensor, output.indices)
        results = ("L", output.tensor)
        return Network(
            Program(
                (*self.equations.training, *self.loss),
                (*tensors, *(d.axes for d in self.built.draws)),
                results=(*results, *(s.next for s in states)),
            ),
            x,
            y,
            out,
            tuple(self.layers.values()),
            parameters,
            optimizer(spec),
            self.answer(spec.loss.definition.predict, output),
            self.answer(spec.loss.definition.proba, output),
            states,
            tuple(self.built.draws),
            Program((*self.equations.inference, *self.loss), tensors, results=results),
            Program(self.loss, (out, *([y] if y else []))),
        )

    def read_input(self) -> Tensor:
        """`x`, its axes called what the first layer that reads it calls them."""
        shape = self.spec.input.shape
        called: tuple[str, ...] = ()
        for use in self.spec.layers:
            for case in use.definition.cases:
                for pattern, name in zip(case.inputs, use.inputs, strict=False):
                    if name == "input" and pattern.fits(len(shape) + 1) and not pattern.groups:
                        called = called or pattern.indices[1:]
        if called:
            called = ("t",) * (len(shape) - len(called)) + called
        else:
            called = LETTERS[: len(shape)]
        axes = [BATCH]
        for name, size in zip(called, shape, strict=True):
            axes.append(self.names.index(name, Integer(size), axes))
        return Tensor("x", tuple(axes), "integer" if self.spec.input.is_tokens else "real")

    # Layers.

    def add_use(self, use: LayerUse) -> None:
        """A layer of the spec."""
        self.path = use.path
        shared, own = self.public.get(use.share), f"{use.name}."
        self.add_layer(use, shared or own.__add__, bool(use.share))

    def add_repeated(self, layers: Sequence[LayerUse], repeat: int) -> None:
        """A layer with its activation, so many of them one above the other."""
        built, outer, drawn = self.built, self.equations, len(self.built.draws)
        known = {*self.layers, *built.parameters, *built.states}
        self.equations = Equations()
        for use in layers:
            self.add_use(use)
        first, top = (self.outputs.get(n, n) for n in (layers[0].inputs[0], layers[-1].name))
        parameters = {n: p for n, p in built.parameters.items() if n not in known}
        states = {n: s for n, s in built.states.items() if n not in known}
        draws = built.draws[drawn:]
        self.path = layers[0].path
        with self.placed(f"layer {layers[0].name}"):
            block = self.repetition(
                (self.values[first], self.values[top]),
                [*(p.axes for p in parameters.values()), *(s.axes for s in states.values())],
                [d.axes for d in draws],
                repeat,
            )
            last = block.last(self.names.tensor(f"{block.result.name}_last"))
            outer.training += [*map(block.equation, self.equations.training), last]
            outer.inference += [*map(block.equation, self.equations.inference), last]
        self.equations = outer
        for name, p in parameters.items():
            built.parameters[name] = replace(p, axes=block.tensor(p.axes), repeat=repeat)
        for name, s in states.items():
            built.states[name] = replace(s, axes=block.tensor(s.axes))
        built.draws[drawn:] = [replace(d, axes=block.tensor(d.axes)) for d in draws]
        for name in self.layers.keys() - known:
            self.layers[name] = replace(self.layers[name], repeat=repeat)
        equations = (*self.layers[top].equations, last.target)
        self.layers[top] = replace(self.layers[top], equations=equations, output=last.target)
        self.values[top] = Value(last.target, last.indices, top)

    def repetition(
        self,
        ends: tuple[Value, Value],
        kept: Sequence[Tensor],
        drawn: Sequence[Tensor],
        repeat: int,
    ) -> Repetition:
        """How a block's equations, from the first end to the other, become those of all."""
        source, result = ends
        shapes = [[i.size for i in v.indices[1:]] for v in ends]
        if shapes[0] != shapes[1] or (source.tensor == "x" and self.spec.input.is_tokens):
            raise DeriveError(
                f"repeat = {repeat}: each of them reads what the one before gives, but "
                f"{described(result)}, is made of {described(source)}"
            )
        equations = (*self.equations.training, *self.equations.inference)
        renewed = {e.target for e in equations}
        for name, state in self.built.states.items():
            if state.next in renewed and state.axes not in kept:
                raise DeriveError(f"{name} is shared; a state cannot be renewed {repeat} times")
        places = {e.target: 0 for e in equations} | {t.name: 0 for t in kept}
        places |= {t.name: 1 for t in drawn}  # behind the batch, which is dealt out to threads
        used = {i for e in equations for i in (*indices(e.body), *e.indices)}
        layer = self.names.index("l", Integer(repeat), used)
        below, above = (Tensor(v.tensor, v.indices) for v in ends)
        return Repetition(layer, below, above, places)

    def add_layer(self, use: LayerUse, public: Public, shared: bool) -> None:
        """A layer, what its parameters are called, and whether these are another layer's."""
        inputs = tuple(self.outputs.get(name, name) for name in use.inputs)
        use = replace(use, inputs=inputs)
        values = [self.values[name] for name in inputs]
        self.public[use.name] = public
        first = values[:2] if use.definition.associative else values
        case = self.fitting(use, values, first)
        if case.layers:
            self.add_layers(use, case, values, public, shared)
            return
        layer = Layering(self.built, use, case, public, shared)
        with self.placed(f"layer {use.name}"):
            result = layer.applied(first)
            for value in values[len(first) :]:
                result = layer.applied([result, value])
            shape = shape_of(result.tensor, result.indices[1:])
        self.equations.add(layer.equations)
        self.values[use.name] = result
        self.layers[use.name] = Layer(
            use.name,
            use.type,
            inputs,
            tuple(e.target for e in layer.equations.training),
            result.tensor,
            shape,
            tuple(public(rule.name) for rule in layer.present),
            case.formula.text,
        )

    def add_layers(
        self, use: LayerUse, case: Case, values: list[Value], public: Public, shared: bool
    ) -> None:
        """The layers that a layer is made of, as `block_1.norm_1`."""
        with self.placed(f"layer {use.name}"):
            shapes = [[i.size for i in v.indices] for v in values]
            binding = bind(use.definition, case, dict(use.fields), shapes)
        names = dict(zip((p.name for p in case.inputs), use.inputs, strict=True))
        names["input"] = use.inputs[0]
        for layer in case.layers:
            name = f"{use.name}.{layer.name}"
            with self.placed(f"layer {name}"):
                fields = _computed(layer, {**binding.values, **dict(use.fields)})
            called = self.public[f"{use.name}.{layer.share}"] if layer.share else None
            inner = replace(
                layer,
                name=name,
                fields=fields,
                inputs=tuple(self.outputs.get(names[i], names[i]) for i in layer.inputs),
            )
            self.add_layer(inner, called or _renamed(public, layer), shared or bool(layer.share))
            names[layer.name] = name
        self.outputs[use.name] = self.outputs.get(name, name)

    def fitting(self, use: LayerUse, values: list[Value], first: list[Value]) -> Case:
        """The first case of the definition that the inputs and the fields fit."""
        ranks = [len(v.indices) for v in first]
        by_inputs = []
        with self.placed(f"layer {use.name}"):
            for case in use.definition.cases:
                if fits(use.definition, replace(case, when=""), dict(use.fields), ranks):
                    by_inputs.append(case)
                    if fits(use.definition, case, dict(use.fields), ranks):
                        return case
        if by_inputs:
            fields = ", ".join(f"{name} = {value}" for name, value in use.fields)
            message = f"layer {use.name}: {use.type} has no case for {fields}"
            raise self.error(message)
        more = " and more of them" if use.definition.associative else ""
        takes = " or ".join(
            dict.fromkeys(
                (", ".join(map(str, case.inputs)) or "one input") + more
                for case in use.definition.cases
            )
        )
        given = " and ".join(map(described, values))
        message = f"layer {use.name}: {use.type} takes {takes}, but is given {given}"
        if len(values) not in {len(case.inputs) or 1 for case in use.definition.cases}:
            raise self.error(message, "inputs")
        raise self.error(message)

    # Loss.

    def add_loss(self, output: Value) -> Tensor | None:
        """The loss as `L`; gives the target `y` as it reads it."""
        definition = self.spec.loss.definition
        with self.placed(f"loss {definition.name}"):
            case, binding = self.loss_case()
            program = definition.program(case, binding)
            last = program.equation(program.result)
            tensors: dict[str, str | None] = {
                e.target: self.names.tensor(e.target) for e in program.equations if e is not last
            }
            tensors |= {"y": "y", last.target: "L"}
            if last.indices:
                result = Tensor(last.target, last.indices)
                raise DeriveError(f"{result} is no scalar: sum it or take its mean")
            instance = instantiate(program, {"z": output}, tensors, binding, self.names)
        self.loss = instance.equations
        kinds = {t.name: t.kind for t in program.inputs}
        return Tensor("y", instance.axes["y"], kinds["y"]) if "y" in instance.axes else None

    def loss_case(self) -> tuple[Case, Binding]:
        use = self.spec.loss
        fields = dict(use.fields)
        for case in use.definition.cases:
            if fits(use.definition, case, fields, ()):
                return case, bind(use.definition, case, fields)
        shown = ", ".join(f"{name} = {value}" for name, value in use.fields)
        raise DeriveError(f"{use.type} has no case for {shown}")

    def answer(self, formula: Formula | None, output: Value) -> Program | None:
        """The program of `predict` or `proba`, of the output alone."""
        if formula is None:
            return None
        definition = self.spec.loss.definition
        with self.placed(f"loss {definition.name}"):
            _, binding = self.loss_case()
            program = definition.answer(formula, binding)
            tensors = {e.target: self.names.tensor(e.target) for e in program.equations}
            instance = instantiate(program, {"z": output}, tensors, binding, self.names)
        return Program(instance.equations, (Tensor(output.tensor, output.indices),))

    # Errors.

    def error(self, message: str, *keys: str) -> SpecError:
        return SpecError((self.spec.document.at_key((*self.path, *keys), message),))

    @contextmanager
    def placed(self, who: str) -> Iterator[None]:
        """Gives an error its place in the spec, and says what it is about."""
        try:
            yield
        except SpecError:
            raise
        except DeriveError as error:
            raise self.error(f"{who}: {error}") from None


def _computed(layer: LayerUse, known: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The fields of a layer within a definition, for the fields and sizes given to that."""
    rules = {rule.name: rule for rule in layer.definition.fields}
    found = []
    for name, value in layer.fields:
        if isinstance(value, Computed):
            text = value.text
            value = known[text] if text in known else size_expressions.value(text, known)
            value = checked(rules[name], value)
        found.append((name, value))
    return tuple(found)


def _renamed(public: Public, layer: LayerUse) -> Public:
    names = dict(layer.renamed)
    return lambda name: public(names.get(name, name))
