"""Accesses: the elements that index expressions name, as views, padded copies or gathers.

x[n, 2*p+k]                    a view of x                          derive.code.views
x[n, p+k-1] under a guard      a view of a copy with 0 around it    padded
E[token[n], d], x[i % 3]       np.take(E, token, axis=0)            gather
a[n,j] - (j == y[n])           t = a.copy(); t[n, y] -= 1           add_one_hot
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Expr, Max, Mul, S, Symbol

from derive.code.statements import Code, Value, size_text
from derive.code.ufuncs import Arithmetic
from derive.code.views import affine_form, arranged, shape_text, subscript, view
from derive.gradients.normal_form import bounds, conditions_inside
from derive.language.functions import eq, le, lt, maximum, minimum
from derive.language.notation import ELLIPSIS, Access, Index
from derive.language.text_printer import text

Indices = tuple[Index, ...]
Shape = tuple[Expr, ...]


class Reading(Arithmetic):
    """Accesses to the arrays that a program's tensors are in.

    `tensors` gives for each tensor its value and the indices of its axes; a value may lack some of
    them, along which the tensor does not vary. `guarded`: accesses may leave their tensors, where
    the value is not used; `padding` is what is read there. `checked` are ids that are known to lie
    on an axis, `positions` the tensors that hold places of maxima, and among how many. `copies` are
    contiguous copies of views: the order of axes, and the copy; `extrema` those over axes of such a
    copy. `staged` are extrema and sums over windows, axis by axis, by what they are of; `routes`
    those whose places a tensor holds. `expansions` are copies of windows that overlap, `overlapped`
    their matrices, `ones` vectors of ones by length. `counted` are the indices that a loop around
    runs over.
    """

    def __init__(self, code: Code, sizes: Mapping[Symbol, Expr]) -> None:
        super().__init__(code)
        self.sizes = dict(sizes)
        self.tensors: dict[str, tuple[Value, Indices]] = {}
        self.shapes: dict[str, Shape] = {}
        self.guarded = False
        self.padding = "0"
        self.checked: set[tuple[str, Expr]] = set()
        self.positions: dict[str, Expr] = {}
        self.copies: dict[str, tuple[tuple[int, ...], Value]] = {}
        self.extrema: dict[tuple[str, str, Indices], Value] = {}
        self.staged: dict[Any, Any] = {}
        self.routes: dict[str, Any] = {}
        self.expansions: dict[Any, Value] = {}
        self.overlapped: dict[Any, Value] = {}
        self.ones: dict[Expr, Value] = {}
        self.counted: Indices = ()
        self.grids: dict[Index, Value] = {}
        self.pads: dict[tuple[str, str, tuple[tuple[Expr, Expr], ...]], Value] = {}
        self.places: dict[tuple[Expr, Indices, bool], Value] = {}

    def value(self, e: Expr) -> Value:
        """The value of a scalar expression."""
        raise NotImplementedError

    def position(self, e: Expr) -> Value:
        """The value of an index expression, in integers."""
        exact, self.exact = self.exact, True
        value = self.value(e)
        self.exact = exact
        return value

    def grid(self, i: Index) -> Value:
        """The values of an index: 0, 1, ..., size-1."""
        if i not in self.grids:
            label = "leading" if i.name == ELLIPSIS else i.name.rstrip("'")
            out = self.code.array((i,), "integer", label=label)
            text = f"np.arange({size_text(i.size)})"
            self.grids[i] = self.code.emit(out, f"{{out}} = {text}", "", operations=S.Zero)
        return self.grids[i]

    def access(self, e: Access) -> Value:
        """An element read: a view where the index expressions allow one, else a gather."""
        value, axes = self.tensors[e.tensor]
        at = e.indices
        shape = tuple(i.size for i in value.indices)
        if axes != value.indices:
            at = tuple(at[axes.index(i)] for i in value.indices)
        plain = all(isinstance(x, Index) and x.size == n for x, n in zip(at, shape, strict=True))
        if plain and len(set(at)) == len(at):
            return Value(value.text, at, value.kind)
        inside = [self._stays_inside(x, size, e) for x, size in zip(at, shape, strict=True)]
        if not all(inside) and (padded := self.padded(value, at, shape)) is not None:
            value, at = padded
            shape = tuple(i.size for i in value.indices)
            inside = [True] * len(at)
        if all(inside):
            found = view(value, at, shape)
            if found is not None:
                return found
        return self.gather(value, at, shape, inside, e)

    def padded(
        self, value: Value, at: tuple[Expr, ...], shape: tuple[Expr, ...]
    ) -> tuple[Value, tuple[Expr, ...]] | None:
        """A copy with `padding` around it, for windows that reach out, and where to read it."""
        if value.kind != "real":
            return None
        margins, places = [], []
        for x, size in zip(at, shape, strict=True):
            affine = affine_form(x)
            if (
                affine is None
                or len(affine[1]) > 2
                or any(c.is_positive is not True for _, c in affine[1])
            ):
                return None
            before, after = margins_around(x, size, self.sizes)
            margins.append((before, after))
            places.append((x + before).expand())
        if all(m == (0, 0) for m in margins):
            return value, at
        key = (value.text, self.padding, tuple(margins))
        if key not in self.pads:
            axes, inner = [], []
            for i, (before, after) in zip(value.indices, margins, strict=True):
                axes.append(Index(i.name, i.size + before + after))
                inner.append(
                    ":"
                    if before == after == 0
                    else f"{size_text(before)}:{size_text(before + i.size)}"
                )
            out = self.code.array(tuple(axes))
            sizes = shape_text(i.size for i in axes)
            full = (
                f"np.full({sizes}, {self.padding}, dtype)"
                if self.padding != "0"
                else f"np.zeros({sizes}, dtype)"
            )
            self.code.emit(
                out, f"{{out}} = {full}", f"{{out}}.fill({self.padding})", operations=S.Zero
            )
            filled = f"{{out}}{subscript(inner)} = {value.text}"
            self.pads[key] = self.code.emit(out, filled, filled, operations=S.Zero, update=True)
        return self.pads[key], tuple(places)

    def _stays_inside(self, x: Expr, size: Expr, e: Access) -> bool:
        """Whether an index never leaves its axis; without a guard it must not, which is checked."""
        if isinstance(x, Index) and x.size == size:
            return True
        if x.has(Access):
            return False
        if not conditions_inside(x, size, self.sizes):
            return True
        if self.guarded:
            return False
        low, high = bounds(x)
        if low.is_finite and high.is_finite:
            self.code.check(
                f"_check_range({size_text(low)}, {size_text(high)}, {size_text(size)}, {text(e)!r})"
            )
            return True
        return False

    def gather(
        self,
        value: Value,
        at: tuple[Expr, ...],
        shape: tuple[Expr, ...],
        inside: list[bool],
        e: Access,
    ) -> Value:
        """Elements at positions that are computed: np.take along one axis, else by index arrays."""
        places = []
        for x, size, safe in zip(at, shape, inside, strict=True):
            if safe:
                places.append(self.position(x))
            elif x.has(Access) and (isinstance(x, Access) or not self.guarded):
                places.append(self.position(x))
                self.code.check(f"_check_ids({places[-1].text}, {size_text(size)}, {text(e)!r})")
                if not self.guarded:  # elsewhere ids outside the table may stand, ignored targets
                    self.checked.add((places[-1].text, size))
            else:
                places.append(self.position(minimum(maximum(x, S.Zero), size - 1)))
        whole = [isinstance(x, Index) and x.size == n for x, n in zip(at, shape, strict=True)]
        computed = [k for k, is_whole in enumerate(whole) if not is_whole]
        plain = [x for x, is_whole in zip(at, whole, strict=True) if is_whole]
        if len(computed) == 1 and not set(plain) & set(places[computed[0]].indices):
            (axis,) = computed
            if len(set(plain)) == len(plain) and places[axis].indices:
                indices = (*at[:axis], *places[axis].indices, *at[axis + 1 :])
                out = self.code.array(indices, value.kind)
                arguments = f"{value.text}, {places[axis].text}, axis={axis}"
                return self.code.emit(
                    out,
                    f"{{out}} = np.take({arguments})",
                    f'np.take({arguments}, out={{out}}, mode="clip")',
                )
        indices = self.union(places)
        elements = value.text + f"[{', '.join(arranged(p, indices) for p in places)}]"
        if not indices:
            return Value(elements, (), value.kind)
        out = self.code.array(indices, value.kind)
        into = f"{{out}}[...] = {elements}"
        if value.buffer and all(p.kind == "integer" and p.indices for p in places):
            flat = self.flat(at, shape, indices) if all(inside) or not self.guarded else None
            if flat is not None and flat.indices == indices:
                into = f'{value.text}.reshape(-1).take({flat.text}, None, {{out}}, "clip")'
        return self.code.emit(out, f"{{out}} = {elements}", into)

    def one_hot(self, term: Expr) -> tuple[Index, Expr, Expr] | None:
        """(j, y[n], c) of an addend c*(j == y[n]) whose ids are known to lie on the axis j."""
        for factor in Mul.make_args(term):
            for j, position in (factor.args, factor.args[::-1]) if isinstance(factor, eq) else ():
                rest = term / factor
                if not isinstance(j, Index) or not _is_plain(position) or rest.has(j):
                    continue
                if (self.value(position).text, j.size) in self.checked:
                    return j, position, rest
        return None

    def add_one_hot(self, total: Value, term: Expr) -> Value:
        """total + c*(j == y[n]), as `total[n, y] += c`."""
        found = self.one_hot(term)
        assert found is not None
        j, position, c = found
        y = self.value(position)
        negative = c.could_extract_minus_sign()
        step = self.value(-c if negative else c)
        axes = {j, *y.indices, *step.indices}
        if not axes <= set(total.indices) or not total.buffer:
            return self.apply("add", total, self.value(term))
        out = self.code.array(total.indices)
        self.code.emit(
            out,
            f"{{out}} = {total.text}.copy()",
            f"np.copyto({{out}}, {total.text})",
            overwrites=(total,),
            operations=S.Zero,
        )
        paired = y.indices if not step.indices else tuple(i for i in total.indices if i != j)
        order = tuple(i for i in total.indices if i in paired)
        places = [
            arranged(y, order) if i == j else arranged(self.grid(i), order) if i in paired else ":"
            for i in total.indices
        ]
        operator = "-=" if negative else "+="
        fresh = f"{{out}}{subscript(places)} {operator} {arranged(step, order)}"
        into = fresh
        if set(order) == set(total.indices) - {j} and not step.indices:
            at = tuple(position if i == j else i for i in total.indices)
            flat = self.flat(at, tuple(i.size for i in total.indices), order)
            into = f"{{out}}.reshape(-1)[{flat.text}] {operator} {step.text}"
        return self.code.emit(out, fresh, into, operations=step.elements, update=True)

    def flat(
        self, at: tuple[Expr, ...], shape: tuple[Expr, ...], frame: tuple[Index, ...]
    ) -> Value:
        """The positions of x[at] in x.reshape(-1); what depends on no tensor is computed apart."""
        place: Expr = S.Zero
        for x, size in zip(at, shape, strict=True):
            place = place * size + x
        key = (place, frame, self.guarded)
        if key not in self.places:
            constant, varying = place.expand().as_independent(Access, as_Add=True)
            outer, self.frame = self.frame, frame
            positions = self.position(varying)
            if constant != 0:
                positions = self.apply("add", self.position(constant), positions)
            self.places[key] = positions
            self.frame = outer
        return self.places[key]


def _is_plain(e: Expr) -> bool:
    """Whether an expression is an access at plain indices."""
    return isinstance(e, Access) and all(isinstance(i, Index) for i in e.indices)


def margins_around(place: Expr, size: Expr, sizes: dict[Symbol, Expr]) -> tuple[Expr, Expr]:
    """How far an index expression may lie before and behind its axis."""
    conditions = conditions_inside(place, size, sizes)
    low, high = bounds(place)
    before = Max(0, -low) if any(isinstance(c, le) for c in conditions) else S.Zero
    after = Max(0, high - size + 1) if any(isinstance(c, lt) for c in conditions) else S.Zero
    return before, after
