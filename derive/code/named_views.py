"""Views and numbers that each step would make anew, made once with the workspace, by name.

    np.matmul({z_bar}, {W}.T, out={a_bar})         {W_T} = {W}.T                        once
    np.multiply({a}, 0.5, out={a})          ->     {half} = np.array(0.5, dtype)        once
                                                   np.dot({z_bar}, {W_T}, out={a_bar})
                                                   np.multiply({a}, {half}, out={a})

    for t in range(50):                            {steps_1} = [({h}[t], {x}[t]) for t in range(50)]
        {h_t} = {h}[t]                      ->     for {h_t}, {x_t} in {steps_1}:
        np.add({h_t}, {x}[t], out={h_t})               np.add({h_t}, {x_t}, out={h_t})

Exact, because a view is memory, whatever is in it, and a workspace's arrays stay where they are;
because NumPy makes of a number just this array; and because `dot` and `matmul` are one function of
matrices, which `dot` reaches by a shorter way.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, product
from string import ascii_lowercase

from sympy import Expr, Symbol

from derive.code.array_forms import Forms, View, buffer_of, buffers_in, outermost, parsed
from derive.code.scheduling import Schedule, numbered
from derive.code.statements import DTYPES, Buffer, Loop, Statement, fields, range_text

# Functions of which an operand may be a number.
_ELEMENTWISE = {
    *("add", "subtract", "multiply", "divide", "maximum", "minimum"),
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
}
# A call on whole buffers, of which there is nothing to name.
_PLAIN = re.compile(r"np\.(?!matmul\b)\w+\((\{\w+\}, )*(out=)?\{\w+\}\)")
_NUMERAL = re.compile(r"-?[0-9.]+(e[+-]?[0-9]+)?")
_NUMBERS = {"0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "0.5": "half"}
_FIELDS = {"x", "y", "drawn", "gradients", "ids"}  # what workspaces hold besides


def named(schedule: Schedule, late: Collection[str] = ()) -> Schedule:
    """The schedule of a workspace, with its views and numbers named in the setup.

    `late` are the tensors whose arrays are there only after the setup; those that are read lie in
    one block of memory, with their axes in order.
    """
    return _Naming(schedule, {schedule.names[t] for t in late if t in schedule.names}).run()


class _Naming:
    def __init__(self, schedule: Schedule, late: set[str]) -> None:
        self.schedule = schedule
        self.late = late
        self.buffers = {b.name: b for b in schedule.buffers}
        lengths = {size for b in schedule.buffers for size in b.shape}
        self.sizes = {s.name: s for size in lengths for s in _symbols(size)}
        loops = {s.loop for s in schedule.statements if s.loop}
        self.taken = {*self.buffers, *self.sizes, *_FIELDS, *(loop.counter for loop in loops)}
        made = {s.out for s in schedule.statements if s.fresh}  # anew at each step
        self.moving = late | made | {b.name for b in schedule.buffers if b.local}
        self.setup: list[Statement] = []
        self.known: dict[str, str] = {}  # the name of each view and number by its text

    def run(self) -> Schedule:
        statements: list[Statement] = []
        for loop, group in groupby(self.schedule.statements, key=lambda s: s.loop):
            inside = [*group]
            counts = loop is not None and not loop.head
            statements += self.repeated(loop, inside) if counts else self.plain(inside)
        return replace(
            self.schedule,
            buffers=tuple(self.buffers.values()),
            statements=tuple(statements),
            setup=(*self.schedule.setup, *self.setup),
        )

    def plain(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        forms = Forms(self.buffers, self.sizes)
        for s in statements:
            yield self.changed(s, forms, _Steps())

    def changed(self, s: Statement, forms: Forms, steps: _Steps) -> Statement:
        """The statement with names for its views and numbers."""
        whole = None if _PLAIN.fullmatch(s.text) else parsed(s.text)
        if whole is None:
            return s
        parts: list[tuple[ast.expr, str]] = []
        for node, view in outermost(whole.tree, forms):
            text = steps.whole(whole.text(node))
            if view.buffer in self.moving and view.buffer not in steps.texts:
                continue
            names = _names(node)
            if steps.counter in names or view.buffer in steps.texts:
                parts.append((node, f"{{{self.row(text, view, steps)}}}"))
            elif names <= self.sizes.keys() | {"np"}:
                parts.append((node, f"{{{self.view(text, view, s.origin)}}}"))
        for inner in ast.walk(whole.tree):
            if not isinstance(inner, ast.Call | ast.AugAssign):
                continue
            numbers = self.numbers(inner)
            parts += ((n, f"{{{self.number(whole.text(n), k, s.origin)}}}") for n, k in numbers)
            if isinstance(inner, ast.Call) and self.is_dot(inner, forms):
                parts.append((inner.func, "np.dot"))
        text = whole.replaced(parts)
        return replace(s, fresh=text) if s.fresh else replace(s, into=text)

    def view(self, text: str, view: View, origin: str) -> str:
        """The name of a view that is made once."""
        if text not in self.known:
            kind = self.buffers[view.buffer].kind
            name = self.called("_".join((view.buffer, *view.words)))
            self.buffers[name] = Buffer(name, view.shape, kind, of=view.buffer)
            self.known[text] = name
            self.setup.append(Statement(name, f"{{{name}}} = {text}", origin=origin, binds=True))
        return self.known[text]

    def called(self, name: str) -> str:
        """A new name; what tells it from others is a letter, for its number is a layer's."""
        letters = map("".join, chain(ascii_lowercase[1:], product(ascii_lowercase, repeat=2)))
        found = name
        while found in self.taken:
            found = f"{name}_{next(letters)}"
        self.taken.add(found)
        return found

    # Numbers

    def numbers(self, node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
        """The operands of an elementwise function that are numbers, and their kinds as arrays."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("np"), attr=attr), args=[_, _]) if (
                attr in _ELEMENTWISE
            ):
                operands, read = node.args, [b for a in node.args for b in buffers_in(a)]
            case ast.AugAssign(target=target, value=value):
                operands, read = [value], [_base(target)]
            case _:
                return
        kinds = {self.buffers[b].kind for b in read if b and self.buffers[b].shape}
        for a in operands:
            if not buffers_in(a) and len(kinds) == 1 and (kind := self.kind(a, *kinds)):
                yield a, kind

    def kind(self, node: ast.expr, kind: str) -> str:
        """What a number is as an array, beside arrays of this kind; "" where that is another."""
        names = _names(node)
        if not names <= {*self.sizes, "math"} or kind == "boolean":
            return ""
        numbers = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
        whole = "math" not in names and not any(isinstance(n, float) for n in numbers)
        plain = all(type(n) in (int, float) for n in numbers) and (numbers or names)
        return kind if plain and (kind == "real" or whole) else ""

    def number(self, text: str, kind: str, origin: str) -> str:
        key = f"{text} {kind}"
        if key not in self.known:
            name = (_NUMBERS.get(text) or _number_name(text)) + "_integer" * (kind == "integer")
            # The fields of a workspace and its sizes, which are local names, do not meet.
            if name not in self.sizes or name in self.buffers:
                name = self.called(name)
            self.buffers[name] = Buffer(name, (), kind)
            self.known[key] = name
            made = f"{{{name}}} = np.array({text}, {DTYPES[kind]})"
            self.setup.append(Statement(name, made, origin=origin))
        return self.known[key]

    # Products of matrices

    def is_dot(self, call: ast.Call, forms: Forms) -> bool:
        """Whether a `matmul` is of real matrices whose elements lie in one block of memory each."""
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name("np"), attr="matmul"), args=[_, _]):
                pass
            case _:
                return False
        out = [k.value for k in call.keywords if k.arg == "out"]
        views = [v for node in (*call.args, *out) if (v := forms.view(node))]
        if len(views) < 3 or views[2].order != "C" or views[2].buffer in self.late:
            return False
        return all(
            len(v.shape) <= 2 and v.order and self.buffers[v.buffer].kind == "real" for v in views
        )

    # Loops

    def repeated(self, loop: Loop, statements: list[Statement]) -> list[Statement]:
        """A loop over the rows of its steps, where what changes with them are views of arrays."""
        counter = Symbol(loop.counter, integer=True)
        forms = Forms(self.buffers, {**self.sizes, loop.counter: counter})
        steps = _Steps(loop.counter)
        times = Counter(s.out for s in statements if s.fresh)
        left = []
        for s in statements:
            if s.binds and times[s.out] == 1 and (text := self.bound(s, forms, steps)):
                steps.texts[s.out] = text
            else:
                left.append(self.changed(s, forms, steps))
        read = {b for s in left for b in fields(s.text)}
        rows = {name: text for name, text in steps.texts.items() if name in read}
        if not rows:
            return left
        name = numbered("steps", self.taken)
        self.taken.add(name)
        self.buffers[name] = Buffer(name, ())
        if any(re.search(rf"\b{loop.counter}\b", s.text) for s in left):
            rows = {"": loop.counter} | rows
        names = ", ".join(f"{{{row}}}" if row else loop.counter for row in rows)
        texts = ", ".join(rows.values())
        row = f"({texts})" if len(rows) > 1 else texts
        made = f"{{{name}}} = [{row} for {loop.counter} in {range_text(loop)}]"
        self.setup.append(Statement(name, made))
        over = replace(loop, head=f"for {names} in {{{name}}}:")
        return [replace(s, loop=over) for s in left]

    def bound(self, s: Statement, forms: Forms, steps: _Steps) -> str:
        """The view that a statement binds a step's name to, as text; "" where it is none."""
        whole = parsed(s.text)
        if whole is None or not isinstance(whole.tree.body[0], ast.Assign):
            return ""
        value = whole.tree.body[0].value
        view = forms.view(value)
        if view is None or (view.buffer in self.moving and view.buffer not in steps.texts):
            return ""
        return steps.whole(whole.text(value))

    def row(self, text: str, view: View, steps: _Steps) -> str:
        """The name that a view has at each step."""
        for name, known in steps.texts.items():
            if known == text:
                return name
        base = self.buffers[view.buffer]
        name = self.called("_".join((base.name, *view.words)))
        self.buffers[name] = Buffer(name, view.shape, base.kind, of=view.buffer, local=True)
        steps.texts[name] = text
        return name


@dataclass
class _Steps:
    """What the rows of a loop's steps are called: the text of each by its name."""

    counter: str = ""
    texts: dict[str, str] = field(default_factory=dict)

    def whole(self, text: str) -> str:
        """A text with the rows that it reads as parts of arrays."""
        return text.format_map({b: self.texts.get(b, f"{{{b}}}") for b in fields(text)})


def _names(node: ast.AST) -> set[str]:
    """The names in a tree that stand for no buffer."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not buffer_of(n)}


def _base(node: ast.expr) -> str:
    """The buffer that a part of it is of: z, for z.reshape(-1)[y]."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return buffer_of(node)


def _symbols(e: Expr) -> Iterator[Symbol]:
    yield from (s for s in e.free_symbols if isinstance(s, Symbol))


def _number_name(text: str) -> str:
    """`number_0_044715`, `number_minus_2`; of many digits the first."""
    shown = f"{float(text):.5g}" if _NUMERAL.fullmatch(text) else text
    words = re.sub(r"\W+", "_", shown.replace("-", " minus ")).strip("_")
    return words if words.isidentifier() else f"number_{words}"
