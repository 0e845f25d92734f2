"""What `init` of a network's module fills the arrays with: the initializers' formulas, drawn.

    sqrt(6/(fan_in + fan_out))*(2*u[...] - 1)  ->  0.17677669*(2*draw.random((64, 128)) - 1)

The formula of a matrix becomes a function, called with its draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sympy import Expr, Integer, Symbol

from derive.kernels import Citations, Routine, opened, public
from derive.lowering import lower
from derive.network_parts import Initializer, Network, Parameter
from derive.normal_form import flatten
from derive.notation import accesses
from derive.numpy_printer import prefixed
from derive.rolling import resolve
from derive.scheduling import fresh
from derive.simplify import recognize
from derive.stability import stabilize
from derive.statements import size_text
from derive.text_printer import text


def lines(network: Network, width: int) -> Iterable[str]:
    """The initializers' formulas with their draws; the states' first values."""
    names = _names(network)
    found: list[str] = []
    for p in network.parameters:
        initial = names.get(p.initializer, "")
        value = _call(p, initial) if initial else _elementwise(p)
        line = f'params["{public(p.name)}"][...] = {value}'
        if len(line) > width:
            line = f'params["{public(p.name)}"][...] = (\n    {value}\n)'
        found.append(line)
    found += [f'params["{public(s.name)}"][...] = {s.initial!r}' for s in network.states]
    return resolve([found])[1][0]


def functions(network: Network, accuracy: str) -> Iterable[Routine]:
    """The functions that initialize matrices."""
    for initializer, name in _names(network).items():
        yield _function(name, initializer, accuracy)


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


def _elementwise(parameter: Parameter) -> str:
    """The formula with a draw for each element and numbers for the fans."""
    values: dict[str, Expr] = {n: Symbol(call) for n, call in _drawn(parameter.shape).items()}
    values |= {"fan_in": Integer(parameter.fan_in), "fan_out": Integer(parameter.fan_out)}
    for equation in parameter.initializer.program.equations:
        read = {a: values[a.tensor] for a in accesses(equation.body)}
        values[equation.target] = equation.body.xreplace(read)
    body = values[parameter.initializer.program.result]
    body = body.replace(lambda e: e.is_number and not e.is_Rational, lambda e: e.evalf(30))
    return text(body.replace(lambda e: e.is_Float, lambda e: Symbol(repr(float(e)))))


def _sizes(initializer: Initializer, rows: int = 0, columns: int = 0) -> dict[str, int]:
    """The sizes of the matrix by name."""
    axes = initializer.program.equation("w").indices
    pairs = zip(axes, (rows, columns), strict=True)
    return {size_text(i.size): size for i, size in pairs if i.size.is_Symbol}


def _call(parameter: Parameter, function: str) -> str:
    """A matrix in the shape of the parameter."""
    rows, columns = parameter.matrix_shape
    values = _drawn((rows, columns))
    values |= {"fan_in": str(parameter.fan_in), "fan_out": str(parameter.fan_out)}
    given = [values[t.name] for t in parameter.initializer.program.inputs]
    given = [*map(str, _sizes(parameter.initializer, rows, columns).values()), *given]
    reshaped = f".reshape({parameter.shape})" if len(parameter.shape) > 2 else ""
    return f"{function}({', '.join(given)}){reshaped}"


def _function(name: str, initializer: Initializer, accuracy: str) -> Routine:
    """The formula of a matrix as a function of its draws, which makes its arrays as it goes."""
    program = initializer.program
    normal, _ = recognize(flatten(program))
    result = program.equation("w")
    lowered = lower(stabilize(normal, accuracy), results=("w",))
    schedule = fresh(lowered)
    names = prefixed(schedule, "")
    texts = {e.target: str(e) for e in program.equations}
    cited = Citations({}, texts).lines(schedule.statements, names)
    local = {"dtype": "dtype = np.float64"}  # whatever type the parameters are of
    body = opened([line for piece in cited for line in piece.split("\n")], local)
    body.append(f"return {names[schedule.names['w']]}")
    inputs = [names[schedule.names[t.name]] for t in program.inputs]
    return Routine(name, ", ".join([*_sizes(initializer), *inputs]), str(result), tuple(body))
