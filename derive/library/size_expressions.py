"""Sizes, numbers and conditions as expressions of fields and sizes.

    (H + 2*pad - k)//stride + 1          a size
    0 if padding == "valid" else pad     depends on a field that is a word
    groups == 1 and not causal           a condition

Read with `ast` and a whitelist, and computed in integers; nothing of the text is evaluated. `a/b`
must come out even. `s` may be a list, read by `len(s)` and `prod(s)`.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from derive.language.notation import DeriveError

MAX_LENGTH = 1000
MAX_DEPTH = 100

_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., int]] = {
    "max": max,
    "min": min,
    "len": len,
    "prod": math.prod,
}
_OF_LISTS = ("len", "prod")


def names(text: str) -> set[str]:
    """The names in an expression; raises `DeriveError` where the text is none."""
    return _names(_tree(text))


def size(text: str, values: Mapping[str, Any]) -> int:
    """The expression computed, an integer; raises `DeriveError` where it is none."""
    found = value(text, values)
    if not _is_integer(found):
        raise DeriveError(f"{text} = {found} is no integer")
    return int(found)


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition holds; raises `DeriveError` where the text is none."""
    found = value(text, values)
    if not isinstance(found, bool):
        raise DeriveError(f"{text!r} is no condition: it is neither true nor false")
    return found


def value(text: str, values: Mapping[str, Any]) -> Any:
    """The expression computed; raises `DeriveError` where a name that is needed has no value."""
    tree = _tree(text)
    unknown = _names(tree) - set(values)
    if unknown:
        raise DeriveError(f"in {text!r}, nothing says what {min(unknown)} is")
    return _value(tree, values)


def _names(tree: ast.expr) -> set[str]:
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found - _FUNCTIONS.keys()


def _tree(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH or not text.isascii():
        raise DeriveError(f"a size is at most {MAX_LENGTH} characters of ASCII")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise DeriveError(f"{text!r} is no integer expression of fields and sizes") from None
    _check(tree, text, 0)
    return tree


def _check(node: ast.AST, text: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DeriveError(f"a size is nested at most {MAX_DEPTH} deep")
    parts: list[ast.expr] = []
    match node:
        case ast.BinOp(left, op, right) if type(op) in _OPERATIONS:
            parts = [left, right]
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            parts = [operand]
        case ast.Compare(left, ops, others) if all(type(op) in _COMPARISONS for op in ops):
            parts = [left, *others]
        case ast.BoolOp(_, parts):
            pass
        case ast.IfExp(test, body, orelse):
            parts = [test, body, orelse]
        case ast.Call(ast.Name("max" | "min"), parts, []) if len(parts) > 1:
            pass
        case ast.Call(ast.Name("len" | "prod"), [ast.Name()], []):
            pass
        case ast.Name():
            pass
        case ast.Constant(number) if type(number) in (int, str):
            pass
        case _:
            raise DeriveError(
                f"{text!r}: a size is made of fields, sizes and integers with + - * / // %, "
                "max, min, comparisons and `a if condition else b`"
            )
    for part in parts:
        _check(part, text, depth + 1)


def _value(node: Any, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.BinOp(left, op, right):
            return _operation(node, type(op), _number(left, values), _number(right, values))
        case ast.UnaryOp(ast.USub(), operand):
            return -_number(operand, values)
        case ast.UnaryOp(_, operand):
            return not _condition(operand, values)
        case ast.Compare(left, ops, others):
            found = [_value(n, values) for n in (left, *others)]
            links = zip(ops, found, found[1:], strict=False)
            return all(_compared(node, type(op), a, b) for op, a, b in links)
        case ast.BoolOp(ast.And(), parts):
            return all(_condition(n, values) for n in parts)
        case ast.BoolOp(_, parts):
            return any(_condition(n, values) for n in parts)
        case ast.IfExp(test, body, orelse):
            return _value(body if _condition(test, values) else orelse, values)
        case ast.Call(ast.Name(name), [ast.Name(of)]) if name in _OF_LISTS:
            if not isinstance(values.get(of), tuple):
                raise DeriveError(f"{ast.unparse(node)}: {of} is no list")
            return _FUNCTIONS[name](values[of])
        case ast.Call(ast.Name(name), parts):
            return _FUNCTIONS[name](*(_number(n, values) for n in parts))
        case ast.Name(name):
            if name not in values:  # the name of a function
                raise DeriveError(f"nothing says what {name} is")
            return values[name]
    return node.value


def _operation(node: ast.BinOp, op: type, a: Any, b: Any) -> Any:
    if b == 0 and op in (ast.Div, ast.FloorDiv, ast.Mod):
        raise DeriveError(f"{ast.unparse(node)} divides by 0")
    if op is ast.Div and isinstance(a, int) and isinstance(b, int):
        if a % b:
            raise DeriveError(f"{ast.unparse(node)} = {a}/{b} is no integer")
        return a // b
    return _OPERATIONS[op](a, b)


def _compared(node: ast.Compare, op: type, a: Any, b: Any) -> bool:
    if op in (ast.Eq, ast.NotEq):
        return _COMPARISONS[op](a, b)
    if not (_is_number(a) and _is_number(b)):
        raise DeriveError(f"{ast.unparse(node)} compares what has no order")
    return _COMPARISONS[op](a, b)


def _number(node: ast.expr, values: Mapping[str, Any]) -> Any:
    found = _value(node, values)
    if not _is_number(found):
        raise DeriveError(f"{ast.unparse(node)} is {found!r} here, and no number")
    return found


def _condition(node: ast.expr, values: Mapping[str, Any]) -> bool:
    found = _value(node, values)
    if not isinstance(found, bool):
        raise DeriveError(f"{ast.unparse(node)} is neither true nor false")
    return found


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_integer(value) or isinstance(value, float)
