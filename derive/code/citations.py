"""Which equations the lines of a generated module cite, read from its text and never run.

    # (8) b_2_bar[k] = sum[n](z_2_bar[n,k])            the equation, above its statements
    np.add.reduce(ws.z_2_bar, axis=0, out=ws.b_2_bar)  # (8)
    np.matmul(ws.a[l-1], ws.W[l], out=ws.z[l])  # (2*l-1)      of every `l` of its loop

What computes cites; what needs no citation is said in `is_frame`, by rule: it reads arguments and
sizes, makes or names memory, checks, repeats, or hands on results.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from derive.language.notation import DeriveError
from derive.language.source import printable

# Functions of the templates that compute no equation, besides those whose name begins with `_`.
FRAME = {
    "forward",
    "value_and_grad",
    "input_grad",
    "per_sample_grad",
    "hvp",
    "draw",
    "metrics",
    "Model",
}

MOST = 10_000  # layers in a loop; a longer one is none that derive wrote

_CITED = re.compile(r"# \(([0-9l*+-]{1,40})\)")
_ALONE = re.compile(r"# \(([0-9l*+-]{1,40})\)$")
_LISTED = re.compile(r" *\( *([0-9]{1,40})\)  \S")
_STRING_OR_COMMENT = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\])*"'''
    r"""|'''(?:\\.|[^\\])*?'''|'(?:\\.|[^'\\])*'|#[^\n]*""",
    re.DOTALL,
)
_LINEAR = re.compile(r"(?:([0-9]+)-)?(?:([0-9]+)\*)?l(?:([+-])([0-9]+))?")

_CHECKING = {f"_check_{what}" for what in ("ids", "range", "size", "terms", "steps")} | {"_read"}
# Calls that hand on what was computed, in a shape, order of axes or type that a caller expects.
_HANDING = {"float", "_like", "np.array", "np.reshape", ".reshape", ".transpose", ".astype"}
# Functions that make the arrays of a workspace, at once or where they are asked for.
_MAKING = (".__init__", "input_arrays", "loss_arrays")
# Calls that make memory, or name parts of it.
_MEMORY = {
    "np.array",
    "np.empty",
    "np.empty_like",
    "_empty",
    "_lent",
    "_zeros",
    "_views",
    "_tiles",
    "_updating",
    "math.ceil",
    "min",
    "len",
}
_MEMORY |= {"range", "setattr", "PARAMETERS", ".reshape", ".transpose", ".items"}
# Calls that read what the caller gave.
_READING = {"_read", "_given", "len", "int", "np.dtype", "np.shape", "np.random.default_rng"}
_READING |= {".reshape", "min", "max", "_views", "np.zeros", "sum", "map", ".values"}
_READING |= {"np.ascontiguousarray"}


@dataclass(frozen=True)
class Citation:
    """A statement, or the text of an equation above its statements, on the lines first to last.

    `function` is where it stands, "Training.__init__", or "" outside. `numbers` are those of the
    equations that it cites, in a loop over layers those of each. `is_statement` is False for the
    text of an equation.
    """

    first: int
    last: int
    function: str
    numbers: tuple[int, ...]
    is_statement: bool
    is_frame: bool = False


@dataclass(frozen=True)
class Function:
    """A function on the lines first to last; `words` is what its docstring, or its class's, says
    first.
    """

    name: str
    first: int
    last: int
    words: str


def citations(text: str) -> tuple[Citation, ...]:
    """All statements within functions, and all texts of equations, in the order of the lines.

    Raises DeriveError where the text is no Python.
    """
    tree, comments = parsed(text)
    try:
        found = [*_listed(tree), *_cited(tree, comments, text.split("\n"))]
    except RecursionError:
        raise DeriveError(_nested("<module>")) from None
    return tuple(sorted(found, key=lambda c: (c.first, c.is_statement)))


def _cited(tree: ast.Module, comments: Mapping[int, str], lines: list[str]) -> Iterator[Citation]:
    """The statements within functions, and the texts of equations above them."""
    for function, node, body in _functions(tree):
        sizes = {"N"}
        for statement, loop in _statements(body, range(0)):
            last = _last(statement)
            above = comments.get(statement.lineno - 1)
            cited = _CITED.match(comments.get(statement.lineno, ""))
            first = statement.lineno
            if cited is None and above and lines[first - 2].lstrip() == above:
                cited = _ALONE.match(above)
                first -= cited is not None
            numbers = _values(cited[1], loop) if cited else ()
            frame = is_frame(statement, function, sizes)
            yield Citation(first, last, function, numbers, True, frame)
        yield from _equations(node, function, comments, lines)


def parsed(text: str, filename: str = "<module>") -> tuple[ast.Module, Mapping[int, str]]:
    """A module taken apart and never run, and its comments by line.

    Raises DeriveError, with the place, where the text is no Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        place = f"{filename}:{error.lineno}" if error.lineno else filename
        raise DeriveError(f"{place}: this is no Python: {printable(error.msg)}") from None
    except ValueError as error:
        raise DeriveError(f"{filename}: this is no Python: {error}") from None
    except (RecursionError, MemoryError):
        raise DeriveError(_nested(filename)) from None
    return tree, dict(_comments(text))


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """The comments of a text that is Python, each with its line."""
    line, at = 1, 0
    for found in _STRING_OR_COMMENT.finditer(text):
        if found[0][0] == "#":
            line += text.count("\n", at, found.start())
            at = found.start()
            yield line, found[0]


def _nested(filename: str) -> str:
    return f"{filename}: this is no Python that can be read: it is nested too deeply"


def uncited(text: str) -> tuple[Citation, ...]:
    """The statements that compute and cite no equation."""
    return tuple(c for c in citations(text) if c.is_statement and not (c.is_frame or c.numbers))


def functions(text: str) -> tuple[Function, ...]:
    """The functions of a module, and the methods of its classes."""
    found = []
    for outer in parsed(text)[0].body:
        for name, node, _ in _functions(ast.Module([outer], [])):
            words = ast.get_docstring(node) or ast.get_docstring(outer) or ""  # type: ignore[arg-type]
            first, last = node.lineno, node.end_lineno or 0
            found.append(Function(name, first, last, words.partition("\n")[0]))
    return tuple(found)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef, list[ast.stmt]]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node, node.body
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner, inner.body


def _statements(body: list[ast.stmt], loop: range) -> Iterator[tuple[ast.stmt, range]]:
    """The statements, those within others too, each with the range of `l` around it."""
    for statement in body:
        yield statement, loop
        inner = _layers(statement) if isinstance(statement, ast.For) else None
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []), loop if inner is None else inner)


def _layers(loop: ast.For) -> range | None:
    """The values of `l` in `for l in range(2, 200):`, a loop over layers."""
    match loop:
        case ast.For(
            target=ast.Name(id="l"), iter=ast.Call(func=ast.Name(id="range"), args=bounds)
        ) if bounds and len(bounds) <= 3:
            values = [_integer(b) for b in bounds]
            if None not in values and (len(values) < 3 or values[2] != 0):
                found = range(*(v for v in values if v is not None))
                return found if found[:MOST] == found else None
    return None


def _integer(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
    return None


def _values(written: str, loop: range) -> tuple[int, ...]:
    """`7` as (7,); `2*l-1`, in a loop over layers, as the number that each of them cites."""
    if written.isdigit():
        return (int(written),)
    found = _LINEAR.fullmatch(written)
    if found is None:
        return ()
    factor = int(found[2] or 1) * (-1 if found[1] else 1)
    constant = int(found[1] or 0) + int(f"{found[3]}{found[4]}" if found[3] else 0)
    return tuple(factor * l + constant for l in loop)


def _last(statement: ast.stmt) -> int:
    """The last line of a statement, of a compound one that of its head."""
    body = getattr(statement, "body", None)
    return max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or 0


def _equations(
    node: ast.FunctionDef,
    function: str,
    comments: Mapping[int, str],
    lines: list[str],
) -> Iterator[Citation]:
    """The comments that state an equation, each on one line or more."""
    loops = [
        (inner, values)
        for inner in ast.walk(node)
        if isinstance(inner, ast.For) and (values := _layers(inner)) is not None
    ]
    for line in range(node.lineno, (node.end_lineno or 0) + 1):
        comment = comments.get(line)
        if comment is None or lines[line - 1].lstrip() != comment:
            continue
        cited = _CITED.match(comment)
        if cited is None or _ALONE.match(comment):
            continue
        last = line
        while last + 1 in comments and comments[last + 1].startswith("#     "):
            last += 1
        around = [v for f, v in loops if f.lineno < line <= (f.end_lineno or 0)]
        numbers = _values(cited[1], around[-1] if around else range(0))
        yield Citation(line, last, function, numbers, False)


def _listed(tree: ast.Module) -> Iterator[Citation]:
    """The equations that a docstring lists: `( 1)  s[n] = sum[i](w[i]*X[n,i])`."""
    match tree.body:
        case [ast.Expr(value=ast.Constant(value=str(words))) as node, *_]:
            for line, written in enumerate(words.split("\n"), node.lineno):
                cited = _LISTED.match(written)
                if cited:
                    yield Citation(line, line, "", (int(cited[1]),), False)


def is_frame(statement: ast.stmt, function: str, sizes: set[str]) -> bool:
    """Whether a statement computes nothing of an equation.

    `sizes` are the local names of sizes so far; a statement that names another one adds it.

        docstrings, imports, raise, pass; checks; functions of the frame
        for t in range(8):   with np.errstate(all="ignore"):     what they repeat or guard cites
        return ws.z_2                                   hands on what was computed
        N = len(ws.x)   x = _read(arrays, "x")          reads arguments, sizes, types
        ws.x[...] = x                                   takes an argument
        ws.z_1 = np.empty((N, 16), dtype)               makes memory, or names a part of it
        ws.t[()] = t                                    counts the steps made
        def share(tiles):   _each(share, ws.shares)     what it repeats cites
    """
    name = function.partition(".")[0]
    if name in FRAME or name.startswith("_"):
        return True
    makes = function.endswith(_MAKING)
    match statement:
        case ast.Raise() | ast.Pass() | ast.Expr(value=ast.Constant()) | ast.For() | ast.With():
            return True
        case ast.Return(value=value):
            return value is not None and _hands_on(value)
        case ast.Expr(value=ast.Call(func=ast.Name(id=called))) if called in _CHECKING:
            return True
        case ast.FunctionDef(name="share"):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name("_each"), args=[ast.Name("share"), _])):
            return True
        case ast.Assign(
            targets=[ast.Subscript(ast.Attribute(attr="t"), ast.Tuple([]))], value=ast.Name("t")
        ):
            return True
        case ast.Assign(targets=[ast.Attribute(attr="t")], value=ast.Call()) if name == "Optimizer":
            return True
        case ast.Assign(
            targets=[ast.Subscript(ast.Attribute(attr="x"), ast.Constant(value=place))],
            value=ast.Name(id="x"),
        ) if place is ...:
            return True
        case ast.Assign(targets=[target, *_], value=value):
            return _is_reading(target, value, sizes) or (makes and _is_memory(value))
        case ast.Expr(value=ast.Call()) if makes:
            return _is_memory(statement.value)
    return False


def _is_reading(target: ast.expr, value: ast.expr, sizes: set[str]) -> bool:
    """Whether it reads arguments, their sizes and types, or computes sizes from sizes."""
    read = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
    if isinstance(target, ast.Name):
        match value:
            case (
                ast.Call(func=ast.Name(id="len")) | ast.Subscript(value=ast.Attribute(attr="shape"))
            ) if _calls(value) <= _READING:
                sizes.add(target.id)
                return True
            case ast.Attribute(value=ast.Name()):
                return True  # learning_rate = ws.learning_rate
            case ast.Dict() | ast.Call() if _hands_on(value):
                return True
        if read <= sizes | {"min", "max"} and isinstance(
            value, ast.BinOp | ast.Constant | ast.Call
        ):
            sizes.add(target.id)
            return True
    calls = _calls(value)
    return bool(calls) and calls <= _READING


def _hands_on(value: ast.expr) -> bool:
    """Whether it is what was computed before, perhaps in another shape or type."""
    match value:
        case ast.Name() | ast.Attribute() | ast.Constant():
            return True
        case ast.Tuple(elts=parts) | ast.Dict(values=parts):
            return all(map(_hands_on, parts))
        case ast.Subscript(value=whole):
            return _hands_on(whole)
        case ast.Call(func=ast.Attribute(value=array, attr=attr)) if f".{attr}" in _HANDING:
            return _hands_on(array)
        case ast.Call(func=called, args=[array, *_]) if ast.unparse(called) in _HANDING:
            return _hands_on(array)
    return False


def _is_memory(value: ast.expr) -> bool:
    """Whether it makes memory or names a part of it, and leaves the elements as they are."""
    return _calls(value) <= _MEMORY


def _calls(value: ast.expr) -> set[str]:
    """What is called, and arithmetic other than on sizes."""
    found = set()
    for node in ast.walk(value):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=attr)) if module in (
                "np",
                "math",
            ):
                found.add(f"{module}.{attr}")
            case ast.Call(func=ast.Name(id=called)):
                found.add(called)
            case ast.Call(func=ast.Attribute() as called):
                whole = ast.unparse(called)
                found.add(whole if whole.startswith("np.") else f".{called.attr}")
            case ast.Call():
                found.add(ast.unparse(node.func))
    return found
