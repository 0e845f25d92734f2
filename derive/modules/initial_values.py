"""What `init` of a network's module fills the arrays with: the initializers' formulas, drawn.

    sqrt(6/(fan_in + fan_out))*(2*u[...] - 1)  ->  0.17677669*(2*draw.random((64, 128)) - 1)

The formula of a matrix becomes a function, called with its draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from sympy import Expr, Float, Symbol

from derive.code.lowering import lower
from derive.code.numpy_printer import prefixed
from derive.code.scheduling import fresh
from derive.code.statements import size_text
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.notation import REMEMBERED, Program, accesses
from derive.language.text_printer import text
from derive.modules.kernels import Citations, Routine, opened, public
from derive.modules.rolling import mark, resolve
from derive.networks.network_parts import Initializer, Network, Parameter
from derive.networks.supplements import Supplement, constant, initial
from derive.numerics.stability import stabilize

DIGITS = 30  # of a number, until it is rounded once
ROLLED = 16  # columns that a loop over layers may add to a line


def lines(network: Network, width: int, beside: Mapping[str, Supplement]) -> Iterable[str]:
    """The initializers' formulas with their draws; the states' first values."""
    names = _names(network)
    found: list[str] = []
    initializers = dict.fromkeys(p.initializer for p in network.parameters)
    numbers = {i: _number(i.program, beside) for i in initializers}
    for p in network.parameters:
        initial = names.get(p.initializer, "")
        sizes = (p.shape, p.fan_in, p.fan_out)
        value = _call(p, initial) if initial else _elementwise(p.initializer, *sizes)
        cited = f"  # ({numbers[p.initializer]})"
        line = f'params["{public(p.name)}"][...] = {value}'
        if len(line) > width - ROLLED:
            line = f'params["{public(p.name)}"][...] = (\n    {value}\n)'
        first, *rest = line.split("\n")
        found.append("\n".join((first + cited, *rest)))
    for s in network.states:
        cited = f"  # ({_number(constant(s.initial), beside)})"
        found.append(f'params["{public(s.name)}"][...] = {s.initial!r}{cited}')
    return resolve([found])[1][0]


def _number(program: Program, beside: Mapping[str, Supplement]) -> str:
    """The number of the equation for `w`."""
    return mark(beside[initial(program)].numbers["w"])


def functions(
    network: Network, accuracy: str, beside: Mapping[str, Supplement]
) -> Iterable[Routine]:
    """The functions that initialize matrices."""
    for initializer, name in _names(network).items():
        yield _function(name, initializer, accuracy, beside[initial(initializer.program)])


def _names(network: Network) -> Mapping[Initializer, str]:
    """What the functions of matrices are called: initial_orthogonal, initial_orthogonal_2."""
    found: dict[Initializer, str] = {}
    for p in network.parameters:
        if p.initializer.is_matrix and p.initializer not in found:
            name = base = f"initial_{p.initializer.name}"
            number = 1
            while name in found.values():
                number += 1
                name = f"{base}_{number}"
            found[p.initializer] = name
    return found


def _drawn(shape: tuple[int, ...]) -> dict[str, str]:
    return {"u": f"draw.random({shape})", "e": f"draw.normal(size={shape})"}


def _elementwise(
    initializer: Initializer, shape: tuple[int, ...], fan_in: int, fan_out: int
) -> str:
    """The formula with a draw for each element and numbers for the fans."""
    fans = {"fan_in": fan_in, "fan_out": fan_out}
    read_ = {a.tensor for e in initializer.program.equations for a in accesses(e.body)}
    formula = _formula(initializer, tuple((n, k) for n, k in fans.items() if n in read_))
    return formula.format_map(_drawn(shape))


@lru_cache(maxsize=REMEMBERED)
def _formula(initializer: Initializer, fans: tuple[tuple[str, int], ...]) -> str:
    """The formula with numbers for the fans, and a field for a draw, as `{u}`."""
    values: dict[str, Expr] = dict(_FIELDS)
    values |= {name: Float(fan, DIGITS) for name, fan in fans}
    for equation in initializer.program.equations:
        read = {a: values[a.tensor] for a in accesses(equation.body)}
        values[equation.target] = equation.body.xreplace(read)
    body = values[initializer.program.result]
    body = body.replace(lambda e: e.is_number and not e.is_Rational, lambda e: e.evalf(DIGITS))
    return text(body.replace(lambda e: e.is_Float, lambda e: Symbol(repr(float(e)))))


_FIELDS = {name: Symbol(f"{{{name}}}") for name in ("u", "e")}


def _sizes(initializer: Initializer, rows: int = 0, columns: int = 0) -> dict[str, int]:
    """The sizes of the matrix by name."""
    axes = initializer.program.equation("w").indices
    pairs = zip(axes, (rows, columns), strict=True)
    return {size_text(i.size): size for i, size in pairs if i.size.is_Symbol}


def _call(parameter: Parameter, function: str) -> str:
    """A matrix in the shape of the parameter, or one for each layer that it is of."""
    rows, columns = parameter.matrix_shape
    values = _drawn((rows, columns))
    values |= {"fan_in": str(parameter.fan_in), "fan_out": str(parameter.fan_out)}
    given = [values[t.name] for t in parameter.initializer.program.inputs]
    given = [*map(str, _sizes(parameter.initializer, rows, columns).values()), *given]
    called = f"{function}({', '.join(given)})"
    if parameter.repeat > 1:
        called = f"np.stack([{called} for _ in range({parameter.repeat})])"
    reshaped = parameter.repeat == 1 and len(parameter.shape) > 2
    reshaped |= parameter.repeat > 1 and len(parameter.shape) > 3
    return called + f".reshape({parameter.shape})" * reshaped


def _function(name: str, initializer: Initializer, accuracy: str, own: Supplement) -> Routine:
    """The formula of a matrix as a function of its draws, which makes its arrays as it goes."""
    program = initializer.program
    normal, _ = recognize(flatten(program))
    result = program.equation("w")
    lowered = lower(stabilize(normal, accuracy), results=("w",))
    schedule = fresh(lowered)
    names = prefixed(schedule, "")
    texts = {e.target: str(e) for e in program.equations}
    numbers = {target: str(number) for target, number in own.numbers.items()}
    cited = Citations(numbers, texts).lines(schedule.statements, names)
    local = {"dtype": "dtype = np.float64"}  # whatever type the parameters are of
    body = opened([line for piece in cited for line in piece.split("\n")], local)
    body.append(f"return {names[schedule.names['w']]}")
    inputs = [names[schedule.names[t.name]] for t in program.inputs]
    return Routine(name, ", ".join([*_sizes(initializer), *inputs]), str(result), tuple(body))
