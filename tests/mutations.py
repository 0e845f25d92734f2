"""Faults to inject into generated functions, one at a time; the changes to a tree are undone."""

import ast
from collections.abc import Callable, Iterator

OTHER = {
    "add": "subtract",
    "subtract": "add",
    "multiply": "divide",
    "divide": "multiply",
    "negative": "positive",
    "square": "positive",
    "less": "greater",
    "less_equal": "greater",
    "greater": "less",
    "greater_equal": "less",
    "exp": "exp2",
    "tanh": "sin",
    "sqrt": "cbrt",
    "maximum": "minimum",
    "where": "copysign",
}

Change = tuple[str, Callable[[], object]]  # what was changed, and how it is undone


def function(source: str, name: str) -> ast.FunctionDef:
    """A function of a module, as a tree."""
    body = ast.parse(source).body
    return next(n for n in body if isinstance(n, ast.FunctionDef) and n.name == name)


def mutants(body: ast.FunctionDef) -> Iterator[str]:
    """What was changed; the tree is that of the mutant until the next one is asked for."""
    calls = [n for n in ast.walk(body) if isinstance(n, ast.Call) and is_ufunc(n)]
    for call in calls:
        for change, undo in of_call(call):
            yield f"line {call.lineno}, {call.func.attr}: {change}"
            undo()


def further(body: ast.FunctionDef) -> Iterator[str]:
    """As `mutants`: factors left out, axes, bounds of slices and loops, signs, statements."""
    for node in ast.walk(body):
        for change, undo in (*of_bounds(node), *of_statements(node)):
            yield f"line {getattr(node, 'lineno', 0)}, {change}"
            undo()
        if isinstance(node, ast.Call) and is_ufunc(node):
            for change, undo in of_arguments(node):
                yield f"line {node.lineno}, {node.func.attr}: {change}"
                undo()


def is_ufunc(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)


def of_call(call: ast.Call) -> Iterator[Change]:
    """Another ufunc, operands exchanged, a transpose left out, a constant off by one."""
    name = call.func.attr
    if name in OTHER:
        yield _set(call.func, "attr", OTHER[name], f"-> {OTHER[name]}")
    if len(call.args) == 2 and name in ("matmul", "dot", "subtract", "divide"):
        call.args.reverse()
        yield "operands exchanged", call.args.reverse
    for k, arg in enumerate(call.args):
        if isinstance(arg, ast.Attribute) and arg.attr == "T":
            yield _put(call.args, k, arg.value, "no transpose")
        if isinstance(arg, ast.Attribute) and arg.attr.endswith("_T"):  # made with the workspace
            yield _set(arg, "attr", arg.attr.removesuffix("_T"), "no transpose")
        if isinstance(arg, ast.Constant) and isinstance(arg.value, int | float):
            yield _set(arg, "value", arg.value + 1, f"{arg.value} -> {arg.value + 1}")


def of_arguments(call: ast.Call) -> Iterator[Change]:
    """A factor left out, another axis, a contraction with its result transposed."""
    one = ast.Constant(1)
    if call.func.attr in ("multiply", "divide"):
        for k in (0, 1) if call.func.attr == "multiply" else (1,):
            yield _put(call.args, k, one, f"factor {k} left out")
    for keyword in call.keywords:
        axis = keyword.value
        if keyword.arg == "axis" and isinstance(axis, ast.Constant) and axis.value is not None:
            yield _set(axis, "value", axis.value + 1, "the next axis")
        elif keyword.arg == "axis" and isinstance(axis, ast.Tuple):
            yield _set(axis, "elts", axis.elts[:-1], "an axis left out")
    first = call.args[0] if call.args else None
    if call.func.attr == "einsum" and isinstance(first, ast.Constant):
        given, _, result = first.value.partition("->")
        left, _, right = given.partition(",")
        if len(result) > 1:
            yield _set(first, "value", f"{given}->{result[::-1]}", "transposed")
        if right:
            yield _set(first, "value", f"{left},{right[::-1]}->{result}", "a factor transposed")


def of_bounds(node: ast.AST) -> Iterator[Change]:
    """Bounds of slices and loops off by one."""
    if isinstance(node, ast.Slice):
        for side in ("lower", "upper", "step"):
            bound = getattr(node, side)
            if bound is not None:
                more = ast.BinOp(bound, ast.Add(), ast.Constant(1))
                yield _set(node, side, more, f"{side} {ast.unparse(bound)} + 1")
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
        arguments = node.iter.args
        for k, bound in enumerate(arguments[:2]):
            less = ast.BinOp(bound, ast.Sub(), ast.Constant(1))
            yield _put(arguments, k, less, f"range {ast.unparse(bound)} - 1")


def of_statements(node: ast.AST) -> Iterator[Change]:
    """A sum taken as a difference; a statement left out."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        yield _set(node, "op", ast.Sub(), "-=")
    for k, statement in enumerate(getattr(node, "body", ())):
        if isinstance(statement, ast.AugAssign) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        ):
            yield _put(node.body, k, ast.Pass(), f"left out: {ast.unparse(statement)}")


def _set(node: ast.AST, field: str, value: object, text: str) -> Change:
    before = getattr(node, field)
    setattr(node, field, value)
    return text, lambda: setattr(node, field, before)


def _put(items: list, k: int, value: object, text: str) -> Change:
    before = items[k]
    items[k] = value
    return text, lambda: items.__setitem__(k, before)
