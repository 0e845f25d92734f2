"""Text -> lines of the formula language, one equation each, as `ast` has them.

    y[n] = sum[i](        # brackets hold lines together
        x[n,i] * w[i])

Only the shape of an equation is looked at here; `formula` reads what its parts mean.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from derive.language.notation import REDUCTIONS
from derive.language.source import FormulaError, Place, Source

DEEPEST = 100  # brackets of a kind within each other; about two operators in each

_EXAMPLE = "Write one as  y[n] = sum[i](x[n,i]*w[i])"
_ODD_CHARACTERS = {
    ";": "Write one equation a line.",
    "\\": "A line goes on within brackets.",
    "'": "Formulas have no strings.",
    '"': "Formulas have no strings.",
}


@dataclass(frozen=True)
class Line:
    """An equation as written: `target[indices] = body`."""

    target: str
    indices: tuple[ast.expr, ...]
    left: ast.expr
    body: ast.expr


def split(source: Source) -> list[Line]:
    """The equations of a text. Raises FormulaError for what is none."""
    lines: list[Line] = []
    held: list[str] = []
    first = 0
    opened: list[tuple[str, Place]] = []
    for number in range(len(source.lines)):
        code = _code(source, number, opened)
        if not held and not code.strip():
            continue
        first = first if held else number
        held.append(code)
        if not opened:
            lines.append(_line(source, first, held))
            held = []
    if opened:
        bracket, place = opened[-1]
        raise place.error(f"`{bracket}` is never closed")
    if not lines:
        raise source.place(0, 0).error("there is no equation", _EXAMPLE)
    return lines


def _code(source: Source, number: int, opened: list[tuple[str, Place]]) -> str:
    """A line without its comment; `opened` keeps the brackets that are open."""
    code = source.lines[number].partition("#")[0]
    for column, c in enumerate(code):
        if c in "([":
            opened.append((c, source.place(number, column)))
            if [bracket for bracket, _ in opened].count(c) > DEEPEST:
                raise opened[-1][1].error(f"the formula is nested more than {DEEPEST} deep")
        elif c in ")]":
            if not opened or opened[-1][0] + c not in ("()", "[]"):
                raise source.place(number, column).error(f"`{c}` closes nothing")
            opened.pop()
        elif c in "'\"\\;{}`$?!" and code[column : column + 2] != "!=":
            hint = _ODD_CHARACTERS.get(c, "")
            raise source.place(number, column).error(f"unexpected character {c}", hint)
        elif not c.isascii() or not (c.isprintable() or c.isspace()):
            hint = "Formulas are written in ASCII."
            raise source.place(number, column).error(f"unexpected character {c!a}", hint)
    return code


def _line(source: Source, first: int, code: list[str]) -> Line:
    indent = len(code[0]) - len(code[0].lstrip())
    start = source.place(first, indent, len(code[0].strip()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as 1if, of which Python only warns
            tree = ast.parse("\n".join([code[0][indent:], *code[1:]]))
    except SyntaxError as e:
        row, column = (e.lineno or 1) - 1, max((e.offset or 1) - 1, 0)
        column = min(column + (indent if row == 0 else 0), len(source.lines[first + row]))
        message = (e.msg or "").partition(". ")[0].replace("invalid syntax", "it does not parse")
        raise source.place(first + row, column).error(f"not a formula: {message}") from None
    except (RecursionError, MemoryError):
        raise start.error("the equation is too long, or nested too deeply") from None
    _move(tree, first, indent)
    if _depth(tree.body[0]) > 2 * DEEPEST + 10:
        raise start.error(f"the formula is nested more than {DEEPEST} deep")
    match tree.body:
        case [ast.Assign(targets=[left], value=body)]:
            pass
        case _:
            raise start.error("this is no equation", _EXAMPLE)
    match left:
        case ast.Name(id=target):
            return Line(target, (), left, body)
        case ast.Subscript(value=ast.Name(id=target), slice=inside):
            return Line(target, items(inside), left, body)
    raise place_of(source, left).error(
        "the left side is no tensor", "It is a name, or a name with indices: `y` or `y[n,j]`."
    )


def _move(tree: ast.Module, first: int, indent: int) -> None:
    """Counts lines and columns from the start of the whole text, lines from 0."""
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword) and node.end_lineno and node.end_col_offset:
            node.col_offset += indent if node.lineno == 1 else 0
            node.end_col_offset += indent if node.end_lineno == 1 else 0
            node.lineno += first - 1
            node.end_lineno += first - 1


def _depth(tree: ast.AST) -> int:
    """How deep operators and brackets are nested; a chain a + b + c is not."""
    deepest, pending = 0, [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        chained = isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Pow)
        for child in ast.iter_child_nodes(node):
            left = chained and child is node.left  # type: ignore[attr-defined]
            pending.append((child, depth if left else depth + 1))
    return deepest


def place_of(source: Source, node: Any) -> Place:
    """Where a node stands; of one that goes over several lines, where it begins."""
    one_line = node.end_lineno == node.lineno
    width = node.end_col_offset - node.col_offset if one_line else 1
    return source.place(node.lineno, node.col_offset, width)


def items(inside: ast.expr) -> tuple[ast.expr, ...]:
    """What stands between brackets, part by part."""
    return tuple(inside.elts) if isinstance(inside, ast.Tuple) else (inside,)


def preorder(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes in the order of the text, without recursion."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def chain(
    node: ast.expr, kinds: tuple[type, ...]
) -> tuple[ast.expr, list[tuple[ast.operator, ast.expr]]]:
    """Of a + b - c the first operand and the others with their operators, from the left."""
    links: list[tuple[ast.operator, ast.expr]] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, kinds):
        links.append((node.op, node.right))
        node = node.left
    return node, links[::-1]


def is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def reduction(node: ast.AST) -> tuple[str, tuple[ast.expr, ...]] | None:
    """Of `sum[i,j](...)` the op and what it binds; None for anything else."""
    match node:
        case ast.Call(func=ast.Subscript(value=ast.Name(id=op), slice=inside)) if op in REDUCTIONS:
            return op, items(inside)
    return None


def counts(node: ast.AST) -> bool:
    """Whether it is `sum[i](1)`: the size of an index, also of one that no capitals spell."""
    match node:
        case ast.Call(args=[ast.Constant(value=1)], keywords=[]):
            found = reduction(node)
            return found is not None and found[0] == "sum"
    return False


def is_position(node: ast.expr) -> bool:
    """Whether -1, T or 5 stands on a left side: it is an initial line of a recurrence.

    Capitals alone may also be meant as an index; then no other line assigns the tensor.
    """
    if isinstance(node, ast.Name):
        return node.id.isupper()
    names = (part.id for part in ast.walk(node) if isinstance(part, ast.Name))
    return counts(node) or not (is_ellipsis(node) or any(map(str.islower, names)))


_REFUSED: dict[type, tuple[str, str]] = {
    ast.Attribute: ("attribute access", ""),
    ast.Lambda: ("`lambda`", ""),
    ast.IfExp: ("`if ... else`", "Write where(condition, a, b)."),
    ast.Slice: ("a slice", "Use an index, as in sum[i](x[i])."),
    ast.Starred: ("`*` before an argument", ""),
    ast.NamedExpr: ("`:=`", ""),
    ast.Tuple: ("a tuple", ""),
    ast.List: ("a list", ""),
    ast.GeneratorExp: ("a comprehension", "Write sum[i](x[i])."),
    ast.ListComp: ("a comprehension", "Write sum[i](x[i])."),
    ast.MatMult: ("`@`", "Write the sum, as sum[k](A[i,k]*B[k,j])."),
    ast.BitXor: ("`^`", "A power is written `**`."),
    ast.BitAnd: ("`&`", "Write `and`, in the condition of `where`."),
    ast.BitOr: ("`|`", "Write `or`, in the condition of `where`."),
    ast.Invert: ("`~`", "Write `not`, in the condition of `where`."),
}


def refusal(source: Source, node: Any) -> FormulaError:
    """The error for a node that has no meaning in the language."""
    kind = type(node.op) if isinstance(node, ast.BinOp | ast.UnaryOp) else type(node)
    this = f"`{node.value!a:.40}`" if isinstance(node, ast.Constant) else "this"
    what, hint = _REFUSED.get(kind, (this, ""))
    return place_of(source, node).error(f"{what} is not part of the formula language", hint)
