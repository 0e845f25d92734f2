"""Sizes as integer expressions of fields and other sizes: `"(H + 2*pad - k)//stride + 1"`.

Read with `ast` and a whitelist, and computed in integers; nothing of the text is evaluated.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from derive.notation import DeriveError

MAX_LENGTH = 1000
MAX_DEPTH = 100

_OPERATIONS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def names(text: str) -> set[str]:
    """The names in an expression; raises `DeriveError` where the text is none."""
    return {node.id for node in ast.walk(_tree(text)) if isinstance(node, ast.Name)}


def value(text: str, values: Mapping[str, int]) -> int:
    """The expression computed; raises `DeriveError` where a name has no value."""
    tree = _tree(text)
    unknown = names(text) - set(values)
    if unknown:
        raise DeriveError(f"in the size {text!r}, nothing says what {min(unknown)} is")
    return _value(tree, values)


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
    match node:
        case ast.BinOp(left, op, right) if type(op) in _OPERATIONS:
            _check(left, text, depth + 1)
            _check(right, text, depth + 1)
        case ast.UnaryOp(ast.USub(), operand):
            _check(operand, text, depth + 1)
        case ast.Name():
            pass
        case ast.Constant(number) if type(number) is int:
            pass
        case _:
            raise DeriveError(
                f"{text!r}: a size is made of fields, sizes and integers with + - * // %"
            )


def _value(node: Any, values: Mapping[str, int]) -> int:
    match node:
        case ast.BinOp(left, op, right):
            a, b = _value(left, values), _value(right, values)
            if b == 0 and isinstance(op, ast.FloorDiv | ast.Mod):
                raise DeriveError(f"{ast.unparse(node)} divides by 0")
            return _OPERATIONS[type(op)](a, b)
        case ast.UnaryOp(_, operand):
            return -_value(operand, values)
        case ast.Name(name):
            return values[name]
    return int(node.value)
