"""What an expression of a statement's text is: a view of a buffer, a number, or neither.

    {W}.T              a view of W, J x I      {x}[t]    a view, another at each step
    {z}.reshape(-1)    a view of z             {z}[{y}]  no view: what it reads is copied
    0.5, 2*N           numbers

A view names memory and reads none of it, so one that is made earlier is the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from sympy import Expr, Integer, Mul, S, Symbol

from derive.code.statements import Buffer, fields

_MARKED = re.compile(r"_B_([0-9a-f]+)_E_")
_WINDOWS = "np.lib.stride_tricks.sliding_window_view"


@dataclass(frozen=True)
class View:
    """A view of a buffer: its shape, whether its elements lie in one block of memory, in what order
    ("C", that of its axes, "F", the reverse, or ""), and words that say how it differs from the
    buffer.
    """

    buffer: str
    shape: tuple[Expr, ...]
    order: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parsed:
    """A statement's text as a tree, in which `_B_7a_E_` stands for `{z}`, the bytes of its name."""

    source: str
    tree: ast.Module

    def text(self, node: ast.expr) -> str:
        """What a part of the tree is in the statement's text."""
        start, end = self.place(node)
        return restored(self.source[start:end])

    def replaced(self, parts: Iterable[tuple[ast.expr, str]]) -> str:
        """The statement's text with other texts for parts of it that lie apart."""
        done, out = 0, ""
        for (start, end), new in sorted((self.place(node), new) for node, new in parts):
            out += restored(self.source[done:start]) + new
            done = end
        return out + restored(self.source[done:])

    def place(self, node: ast.expr) -> tuple[int, int]:
        ends = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        start, end = (self.begins[line - 1] + column for line, column in ends)
        return start, end

    @cached_property
    def begins(self) -> list[int]:
        """Where each line of the source begins."""
        return [0, *accumulate(len(line) + 1 for line in self.source.split("\n"))]


def parsed(text: str) -> Parsed | None:
    """None where a text is not all ASCII."""
    source = text.format_map({b: f"_B_{b.encode().hex()}_E_" for b in fields(text)})
    return Parsed(source, ast.parse(source)) if source.isascii() else None


def buffer_of(node: ast.AST) -> str:
    """The buffer that a name in the tree stands for, or ""."""
    found = _MARKED.fullmatch(node.id) if isinstance(node, ast.Name) else None
    return bytes.fromhex(found[1]).decode() if found else ""


def buffers_in(node: ast.AST) -> list[str]:
    return [b for inner in ast.walk(node) if (b := buffer_of(inner))]


def restored(source: str) -> str:
    return _MARKED.sub(lambda found: f"{{{bytes.fromhex(found[1]).decode()}}}", source)


@dataclass(frozen=True)
class Forms:
    """Reads trees: `sizes` are what numbers may be made of, the counter of a loop among them."""

    buffers: Mapping[str, Buffer]
    sizes: Mapping[str, Symbol]

    def number(self, node: ast.expr) -> Expr | None:
        """An integer expression of sizes, or None."""
        match node:
            case ast.Constant(value=bool()):
                return None
            case ast.Constant(value=int(value)):
                return Integer(value)
            case ast.Name(id=name):
                return self.sizes.get(name)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                negated = self.number(inner)
                return None if negated is None else -negated
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self.number(left), self.number(right)
                if a is None or b is None:
                    return None
                match op:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
                    case ast.FloorDiv():
                        return a // b
                    case ast.Mod():
                        return a % b
        return None

    def view(self, node: ast.expr) -> View | None:
        """The view that an expression is, or None."""
        if name := buffer_of(node):
            shape = self.buffers[name].shape if name in self.buffers else ()
            return View(name, shape, "C") if shape else None
        match node:
            case ast.Attribute(value=inner, attr="T") if v := self.view(inner):
                order = v.order if len(v.shape) < 2 else {"C": "F", "F": "C"}.get(v.order, "")
                return View(v.buffer, v.shape[::-1], order, (*v.words, "T"))
            case ast.Call(func=ast.Attribute(value=inner, attr=attr), args=args, keywords=[]):
                v = self.view(inner)
                if v and attr == "reshape" and v.order == "C":
                    return self.reshaped(v, args)
                if v and attr == "transpose":
                    return self.transposed(v, args)
                if ast.unparse(node.func) == _WINDOWS and len(args) == 3:
                    return self.windows(*args)
            case ast.Subscript(value=inner, slice=places) if v := self.view(inner):
                several = places.elts if isinstance(places, ast.Tuple) else [places]
                return self.part(v, several)
        return None

    def reshaped(self, v: View, args: list[ast.expr]) -> View | None:
        several = args[0].elts if len(args) == 1 and isinstance(args[0], ast.Tuple) else args
        sizes = [self.number(a) for a in several]
        shape = tuple(s for s in sizes if s is not None)
        if len(shape) < len(sizes):
            return None
        if shape.count(S.NegativeOne) == 1:
            rest = Mul(*v.shape) / Mul(*(s for s in shape if s != -1))
            shape = tuple(rest if s == -1 else s for s in shape)
        word = {1: "flat", 2: "matrix"}.get(len(shape), "split")
        return View(v.buffer, shape, "C", (*v.words, word))

    def transposed(self, v: View, args: list[ast.expr]) -> View | None:
        axes = [a.value for a in args if isinstance(a, ast.Constant) and isinstance(a.value, int)]
        if sorted(axes) != list(range(len(v.shape))) or len(axes) < len(args):
            return None
        return View(v.buffer, tuple(v.shape[k] for k in axes), "", (*v.words, "turned"))

    def windows(self, array: ast.expr, lengths: ast.expr, axes: ast.expr) -> View | None:
        v = self.view(array)
        if v is None or not isinstance(lengths, ast.Tuple) or not isinstance(axes, ast.Tuple):
            return None
        shape = list(v.shape)
        for length, axis in zip(lengths.elts, axes.elts, strict=True):
            size, k = self.number(length), self.number(axis)
            if size is None or k is None:
                return None
            shape[int(k)] -= size - 1
            shape.append(size)
        return View(v.buffer, tuple(shape), "", (*v.words, "windows"))

    def part(self, v: View, places: Iterable[ast.expr]) -> View | None:
        """A view at whole numbers, slices and new axes; None where one of the places is an array.

        A block of memory it is where only the first of the axes left is cut.
        """
        left = list(v.shape)
        shape: list[Expr] = []
        order = v.order if v.order == "C" else ""
        words: list[str] = []
        for place in places:
            if isinstance(place, ast.Constant) and place.value is None:
                shape.append(S.One)
                order = ""
                words.append("wide")
                continue
            if not left:
                return None
            size = left.pop(0)
            if not isinstance(place, ast.Slice):
                at = self.number(place)
                if at is None:
                    return None
                order = order if not shape else ""
                words.append(f"at{at}" if at.is_Integer and at >= 0 else str(at) * at.is_Symbol)
                continue
            if place.lower is place.upper is place.step is None:
                shape.append(size)
                continue
            cut = self.cut(place, size)
            if cut is None:
                return None
            order = order if not shape and place.step is None else ""
            shape.append(cut[0])
            words.append(cut[1])
        shape += left
        said = [word for word in words if word] or ["part"]
        if set(said) == {"wide"}:
            said = ["column"] if shape[-1] == 1 and len(shape) == 2 else ["wide"]
        return View(v.buffer, tuple(shape), order, (*v.words, *said)) if shape else None

    def cut(self, place: ast.Slice, size: Expr) -> tuple[Expr, str] | None:
        """The length of a slice, and a word for it."""
        bounds = [
            default if node is None else self.number(node)
            for node, default in ((place.lower, S.Zero), (place.upper, size), (place.step, S.One))
        ]
        if any(b is None for b in bounds):
            return None
        first, last, step = (S(b) for b in bounds)
        if step.could_extract_minus_sign():
            whole = place.lower is None and place.upper is None
            length = -(-size // -step) if whole else size
            return length, "reversed" if step == -1 else "part"
        begin = size + first if first.could_extract_minus_sign() else first
        end = size + last if last.could_extract_minus_sign() else last
        length = (end - begin + step - 1) // step
        if not (first.is_Integer and (last.is_Integer or last == size)) or first < 0:
            return length, "part"
        word = f"from{first}" * (first != 0) + f"to{last}" * bool(last != size and last >= 0)
        return length, word + f"by{step}" * bool(step != 1 and step.is_Integer) or "part"


def outermost(node: ast.AST, forms: Forms) -> Iterator[tuple[ast.expr, View]]:
    """The views within a tree that are part of no larger one, whole buffers aside."""
    if isinstance(node, ast.expr) and (found := forms.view(node)) is not None:
        if not buffer_of(node):
            yield node, found
        return
    targets: Collection[ast.expr] = ()
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = (node.target,)
    for target in targets:  # what is written to stays what it is, a part of something
        if isinstance(target, ast.Subscript):
            yield from outermost(target.value, forms)
            yield from outermost(target.slice, forms)
    for inner in ast.iter_child_nodes(node):
        if inner not in targets:
            yield from outermost(inner, forms)
