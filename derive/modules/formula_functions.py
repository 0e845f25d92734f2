"""The functions of the module of a formula, each lowered for itself.

    gradient    value(**arrays), value_and_grad(**arrays)
    vjp         value(**arrays), vjp(cotangent, /, **arrays)
    jacobian    value(**arrays), jacobian(**arrays)
    hessian     hessian(**arrays)
    hvp         hvp(direction, /, **arrays)

Each reads its arrays, binds the sizes, and runs straight through its statements; it serves every
size, and every rank where the formula has `...`. What has no value is refused: no step of a
recurrence, a maximum of nothing. The mean of nothing is 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from sympy import Expr, Mul, Pow, Symbol

from derive.code.lowering import RESERVED, lower
from derive.code.numpy_printer import lines, prefixed, wrapped
from derive.code.scheduling import Schedule, fresh
from derive.code.statements import Lowered, size_text
from derive.gradients.normal_form import fresh as unused
from derive.gradients.normal_form import needed
from derive.language.functions import maximum
from derive.language.notation import ELLIPSIS, Equation, Index, Program, Reduce

Names = Mapping[str, str]

COLUMNS = 99  # of a line


@dataclass(frozen=True)
class Function:
    """A function of the module, `lines` its body; how many operations it takes."""

    name: str
    arguments: str
    summary: str
    lines: tuple[str, ...]
    operations: Expr


def functions(
    kind: str,
    computed: Program,
    cotangents: Mapping[str, str],
    direction: str,
    numbers: Mapping[str, int],
) -> tuple[Function, ...]:
    """The functions of the module.

    `computed` is the stable program of everything, `cotangents` gives for each operand the target
    of its derivative, `direction` is the input given by position, `numbers` are what lines cite.
    """
    made, result = _Functions(computed, direction, numbers), computed.result
    match kind:
        case "gradient":
            return made.value(result, scalar=True), made.value_and_grad(result, cotangents)
        case "vjp":
            return made.value(result, scalar=False), made.vjp(result, cotangents)
        case "value":
            return (made.value(result, scalar=False),)
    ((operand, target),) = cotangents.items()
    if kind == "jacobian":
        return made.value(result, scalar=False), made.jacobian(result, operand, target)
    return (made.second(kind, operand, target),)


class _Functions:
    """The functions of one module; each is lowered for itself."""

    def __init__(self, program: Program, direction: str, numbers: Mapping[str, int]) -> None:
        self.program = _with_empty_means(program)
        self.direction = direction
        self.numbers = numbers
        self.tensors = {t.name: t for t in program.inputs}

    def value(self, result: str, scalar: bool) -> Function:
        def last(names: Names) -> Iterable[str]:
            given = f"float({names[result]})" if scalar else self.restored(result, result, names)
            return (f"return {given}",)

        return Function("value", "**arrays", result, *self.body((result,), "value", last))

    def value_and_grad(self, result: str, cotangents: Names) -> Function:
        def last(names: Names) -> Iterable[str]:
            pairs = self.pairs(cotangents, names)
            line = f"return (float({names[result]}), {{{', '.join(pairs)}}})"
            if len(line) <= COLUMNS - 4:
                return (line,)
            given = f"return float({names[result]}), grads"
            return ("grads = {", *(f"    {p}," for p in pairs), "}", given)

        summary = f"({result}, {{{', '.join(f'{o}: {c}' for o, c in cotangents.items())}}})"
        body = self.body((result, *cotangents.values()), "value_and_grad", last)
        return Function("value_and_grad", "**arrays", summary, *body)

    def vjp(self, result: str, cotangents: Names) -> Function:
        def last(names: Names) -> Iterable[str]:
            return ("return {", *(f"    {p}," for p in self.pairs(cotangents, names)), "}")

        given = ", ".join(f"{o}: {c}" for o, c in cotangents.items())
        summary = f"{{{given}}}, given the cotangent of {result}."
        body = self.body(tuple(cotangents.values()), "vjp", last, self.shape(result))
        return Function("vjp", "cotangent, /, **arrays", summary, *body)

    def second(self, kind: str, operand: str, target: str) -> Function:
        times = 2 if kind == "hessian" else 1

        def last(names: Names) -> Iterable[str]:
            return (f"return {self.restored(operand, target, names, times)}",)

        body = self.body((target,), kind, last, self.shape(operand))
        if kind == "hvp":
            summary = f"{target}: the Hessian times the direction."
            return Function("hvp", "direction, /, **arrays", summary, *body)
        summary = f"{target}, its axes those of {operand} twice."
        return Function("hessian", "**arrays", summary, *body)

    def jacobian(self, result: str, operand: str, target: str) -> Function:
        def last(names: Names) -> Iterable[str]:
            dtype = ", dtype" if not self.axes(target) else ""
            yield f"jacobian = np.array({names[target]}{dtype})"
            yield f"return jacobian.reshape({self.shape(result)} + {self.shape(operand)})"

        shapes = f"{self.shape(result)} {self.shape(operand)}"
        body = self.body((target,), "jacobian", last, shapes)
        summary = f"{target}, its axes those of {result}, then those of {operand}."
        return Function("jacobian", "**arrays", summary, *body)

    def pairs(self, cotangents: Names, names: Names) -> list[str]:
        return [f'"{o}": {self.restored(o, c, names)}' for o, c in cotangents.items()]

    def body(
        self,
        results: tuple[str, ...],
        name: str,
        last: Callable[[Names], Iterable[str]],
        direction_shape: str = "",
    ) -> tuple[tuple[str, ...], Expr]:
        """The lines that compute the results, and the last ones, which return them; operations."""
        lowered = lower(self.program, results)
        schedule = fresh(lowered)
        computing = [
            *_checks(needed(self.program, results)),
            *self.steps(needed(self.program, results)),
            *lines(schedule.statements, prefixed(schedule, ""), self.numbers),
            *last(schedule.names),
        ]
        reading = self.reading(lowered, schedule, name, direction_shape, computing)
        return (*reading, *computing), schedule.operations.expand()

    def reading(
        self,
        lowered: Lowered,
        schedule: Schedule,
        name: str,
        direction_shape: str,
        computing: Iterable[str],
    ) -> Iterable[str]:
        """The lines that bind arrays, sizes and the floating-point type."""
        body = "\n".join((*computing, direction_shape))
        used = [
            t
            for t in lowered.inputs
            if t.name != self.direction and _stands(schedule.names.get(t.name, ""), body)
        ]
        derived = dict(lowered.sizes)
        sizes = _needed_sizes(body, derived, self.program)
        where = {size: self.place(size) for size in sizes if size not in derived}
        directed = self.direction in schedule.names and _stands(
            schedule.names[self.direction], body
        )
        typed = _stands("dtype", body) or directed
        reals = [t for t in self.tensors.values() if t.kind == "real" and t.name != self.direction]
        asked = dict.fromkeys([t.name for t in used] + [t for t, _ in where.values()])
        if typed and not any(self.tensors[t].kind == "real" for t in asked) and reals:
            asked[reals[0].name] = None
        taken = {*RESERVED, *schedule.names.values(), *(b.name for b in schedule.buffers)}
        taken |= set(map(size_text, sizes))
        local = {t: schedule.names.get(t) or unused(f"{t}_", taken) for t in asked}
        if not asked:
            yield "_read(arrays)"
        else:
            left = ", ".join(local.values())
            left = f"({left},)" if len(local) == 1 else left
            quoted = ", ".join(f'"{t}"' for t in asked)
            yield from wrapped(f"{left} = _read(arrays, {quoted})", COLUMNS - 4)
        if typed:
            real = next((local[t] for t in asked if self.tensors[t].kind == "real"), "")
            yield f"dtype = {real}.dtype" if real else "dtype = np.dtype(float)"
        for size, (tensor, axis) in where.items():
            yield f"{size_text(size)} = {local[tensor]}.shape[{axis}]"
        for size, expression in derived.items():
            if size in sizes:
                yield f"{size_text(size)} = {expression}"
                if not expression.isdigit():
                    yield f'_check_size({size_text(size)}, "{size_text(size)}")'
        if directed:
            yield from self.directed(schedule.names[self.direction], name, direction_shape)

    def directed(self, name: str, function: str, shape: str) -> Iterable[str]:
        """The lines that read what is given by position."""
        axes = self.tensors[self.direction].axes
        given = "cotangent" if function == "vjp" else "direction"
        yield f'{name} = _given("{given}", {given}, {shape}, dtype)'
        if axes and axes[0].name == ELLIPSIS:
            rest = "".join(f", {size_text(i.size)}" for i in axes[1:])
            yield f"{name} = {name}.reshape(-1{rest})"

    def steps(self, program: Program) -> Iterable[str]:
        """The lines that raise where a recurrence has no step."""
        found: dict[str, None] = {}
        for i in (e.recurrence.index for e in program.equations if e.recurrence is not None):
            if i.size.is_Symbol and i.size not in dict(program.sizes):
                tensor, axis = self.place(i.size)
                text = f"{tensor}: axis {axis} (index {i.name})"
                found[f'_check_steps({size_text(i.size)}, "{text}")'] = None
        return found

    def place(self, size: Symbol) -> tuple[str, int]:
        """An input, and the axis of it, that fixes a size."""
        for t in self.program.inputs:
            for axis, i in enumerate(t.axes):
                if i.size == size and t.name != self.direction:
                    return t.name, axis
        raise AssertionError(f"no input fixes the size {size}")

    def axes(self, tensor: str) -> tuple[Index, ...]:
        if tensor in self.tensors:
            return self.tensors[tensor].axes
        return self.program.equation(tensor).indices

    def shape(self, tensor: str, times: int = 1) -> str:
        """The shape of a tensor as the caller sees it, leading axes apart."""
        if tensor in self.tensors and times == 1:
            return f'np.shape(arrays["{tensor}"])'
        axes = self.axes(tensor)
        sizes = [size_text(i.size) for i in axes]
        if axes and axes[0].name == ELLIPSIS:
            sizes[0] = f"*{self.leading()}"
        return f"({', '.join(sizes * times)}{',' * (len(sizes) * times == 1)})"

    def leading(self) -> str:
        """The sizes of the leading axes."""
        t = next(t for t in self.program.inputs if t.axes and t.axes[0].name == ELLIPSIS)
        rest = len(t.axes) - 1
        return f'np.shape(arrays["{t.name}"])' + (f"[:-{rest}]" if rest else "")

    def restored(self, tensor: str, target: str, names: Names, times: int = 1) -> str:
        """What is computed as `target`, in the shape of `tensor`, or in that shape twice."""
        name = names[target]
        if tensor in self.tensors:
            more = f", times={times}" if times > 1 else ""
            return f'_like({name}, arrays["{tensor}"]{more})'
        axes = self.axes(tensor)
        if not axes:  # a copy, for a number that was passed on as it is
            return f"np.array({name})" if tensor == target else f"np.array({name}, dtype)"
        if axes[0].name == ELLIPSIS:
            return f"np.reshape({name}, {self.shape(tensor, times)})"
        return name


def _stands(name: str, body: str) -> bool:
    return bool(name) and re.search(rf"(?<![\w.\"]){re.escape(name)}(?!\w)", body) is not None


def _with_empty_means(program: Program) -> Program:
    """The program with the mean over no element as 0: what it divides by is at least 1."""
    means = [e for e in program.equations if e.reduction == "mean"]
    derived = dict(program.sizes)
    sizes = {i.size for e in means for i in e.bound} - set(derived)
    least = {s: maximum(s, 1) for s in sizes}

    def divided(e: Equation) -> Equation:
        found = [p for p in e.body.atoms(Pow) if p.base in least and p.exp.is_negative]
        body = e.body.xreplace({p: Pow(least[p.base], p.exp) for p in found})
        if e.reduction == "mean":
            size = Mul(*(least.get(i.size, i.size) for i in e.bound))
            body = Reduce("sum", body.term / size, body.bound, body.guard)
        return replace(e, body=body)

    return replace(program, equations=tuple(map(divided, program.equations)))


def _checks(program: Program) -> Iterable[str]:
    """The lines that raise where the range of a maximum, a minimum or its place is empty."""
    derived = dict(program.sizes)
    found: dict[str, None] = {}
    for e in program.equations:
        if e.reduction in ("max", "min", "argmax", "argmin"):
            size = Mul(*(i.size for i in e.bound if i.size not in derived))
            if not size.is_Integer:
                target = e.origin or e.target
                found[f'_check_terms({size_text(size)} > 0, "{target}")'] = None
    return found


def _needed_sizes(body: str, derived: Mapping[Symbol, str], program: Program) -> list[Symbol]:
    """The sizes that the lines name, and those from which these follow."""
    everything = {s for t in program.inputs for i in t.axes for s in i.size.free_symbols}
    everything |= set(derived)
    sizes = [s for s in sorted(everything, key=str) if _stands(size_text(s), body)]
    for size in reversed(list(derived)):
        if size in sizes:
            more = dict(program.sizes)[size].free_symbols
            sizes += [s for s in sorted(more, key=str) if s not in sizes]
    return sizes
