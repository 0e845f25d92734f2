"""A dry run of a schedule: each NumPy call reports its arrays, and computes nothing.

    np.add(t, b, out=z)     ->    131072 elements in inner loops of 64: 55 us

What a layout costs shows in shapes and strides alone: how long the inner loops of a ufunc are,
which matrices a product multiplies, how many bytes move. The arrays are never touched, so that a
dry run of large ones takes as long as one of small ones. The times are estimates for one core,
made to compare ways of computing the same; their constants were measured once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from operator import mul
from types import CodeType
from typing import Any

import numpy as np
from sympy import Expr, Integer, Symbol

from derive.code.numpy_printer import lines
from derive.code.scheduling import Schedule, Slot
from derive.code.statements import FIELD, Statement, fields

# Microseconds: for a call, an inner loop to begin (of a maximum, SIMD begins late), an element in
# the cache and in memory, one more where neighbours lie apart, and for functions that are slow.
CALL, LOOP, EXTREMUM = 0.5, 0.01, 0.08
NEAR, FAR, APART = 0.25e-3, 0.5e-3, 1.2e-3
SLOW = {"exp": 0.4e-3, "log": 0.5e-3, "tanh": 0.4e-3, "power": 4e-3, "einsum": 0.1e-3, "at": 5e-3}
GATHERED = 1e-3  # an element that is looked up
CACHE = 1 << 20  # bytes
FLOPS = 110e3  # floating-point operations of large matrices in a microsecond
MATRIX = 0.3  # microseconds for one small matrix more
VECTOR = 0.1e-3  # an element of a matrix that is multiplied by a vector


@dataclass
class Estimate:
    """Microseconds of one run, those of them in matrix products, and how many calls it makes."""

    time: float = 0.0
    products: float = 0.0
    calls: int = 0


def estimate(schedule: Schedule, sizes: Mapping[Symbol, int]) -> Estimate:
    """What one run of a workspace's statements is estimated to take."""
    clock = _Clock()
    made = {b for slot in schedule.slots for b in slot.buffers} | {s.out for s in schedule.setup}
    traced = _NumPy(clock)
    space: dict[str, Any] = {"np": traced, "_empty": traced.empty, "math": math}
    space["dtype"] = np.dtype(np.float32)
    given = {s: Integer(n) for s, n in sizes.items()}
    lengths = {n: int(n.xreplace(given)) for n in {n for b in schedule.buffers for n in b.shape}}
    shapes = {b.name: tuple(lengths[n] for n in b.shape) for b in schedule.buffers}
    for b in schedule.buffers:
        if b.shape and b.name not in made and not b.local:
            space[b.name] = _made(shapes[b.name], _KINDS.get(b.kind, np.float32), clock)
        elif not b.shape:
            space[b.name] = 1.0
    for slot in schedule.slots:
        space |= _divided(slot, shapes, given, clock)
    space |= {str(s): n for s, n in sizes.items()}
    run = _Run(clock, space)
    run.all(schedule.setup)
    clock.spent = Estimate()
    run.all(schedule.statements)
    return clock.spent


_KINDS = {"integer": np.int64, "boolean": np.bool_}


def _divided(
    slot: Slot,
    shapes: Mapping[str, tuple[int, ...]],
    given: Mapping[Symbol, Expr],
    clock: _Clock,
) -> Mapping[str, _Traced]:
    """The arrays that share the memory of a slot."""
    kind = _KINDS.get(slot.kind, np.float32)
    if len({shapes[b] for b in slot.buffers}) == 1 and not any(slot.starts):
        return dict.fromkeys(slot.buffers, _made(shapes[slot.buffers[0]], kind, clock))
    whole = _made((int(slot.size.xreplace(given)),), kind, clock)
    found = {}
    for b, start in zip(slot.buffers, slot.starts, strict=True):
        low = int(start.xreplace(given))
        found[b] = whole[low : low + math.prod(shapes[b])].reshape(shapes[b])
    return found


class _Run:
    """Statements carried out in `space`, of which those that are alike report the same calls.

        np.add(s_1, b_1, out=z_1)    and    np.add(s_7, b_7, out=z_7)

    are, where the shapes and strides of s_1 and s_7, of b_1 and b_7, of z_1 and z_7 are the same:
    nothing else of an array is looked at, but whether two of a statement's lie in one place.
    """

    def __init__(self, clock: _Clock, space: dict[str, Any]) -> None:
        self.clock = clock
        self.space = space
        self.known: dict[tuple[Any, ...], tuple[tuple[float, bool], ...]] = {}

    def all(self, statements: Iterable[Statement]) -> None:
        for loop, group in groupby(statements, key=lambda s: s.loop):
            if loop is None:
                for s in group:
                    self.one(s)
                continue
            repeated = tuple(group)
            names = {b: b for s in repeated for b in (*fields(s.text), *fields(loop.head))}
            # The text is the compiler's own, as in the module that it becomes.
            exec("\n".join(lines(repeated, names, {})), self.space)  # noqa: S102

    def one(self, s: Statement) -> None:
        operands = dict.fromkeys(FIELD.findall(s.text))
        own = {b: f"__{k}" for k, b in enumerate(operands)}
        text = s.text.format_map(own)
        given = [self.space.get(b) for b in operands]
        key = (text, *_likeness(given))
        if s.fresh or key not in self.known:
            self.clock.reported = []
            self.space |= zip(own.values(), given, strict=True)
            with np.errstate(all="ignore" if s.quiet else None):
                # The compiler's own text, too: its names are "__0", "__1".
                exec(_compiled(text), self.space)  # noqa: S102
            self.known[key] = tuple(self.clock.reported)
            if s.fresh:
                self.space[s.out] = self.space[own[s.out]]
            return
        for time, product in self.known[key]:
            self.clock.add(time, product)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> CodeType:
    return compile(text, "<dry run>", "exec")


def _likeness(given: Iterable[Any]) -> Iterable[Any]:
    """What a statement may see of its operands; of arrays no element, and which are one."""
    places: dict[int, int] = {}
    for x in given:
        if isinstance(x, np.ndarray):
            at = x.__array_interface__["data"][0]
            yield x.shape, x.strides, x.dtype, places.setdefault(at, len(places))
        else:
            yield type(x), x


class _Clock:
    def __init__(self) -> None:
        self.spent = Estimate()
        self.reported: list[tuple[float, bool]] = []

    def call(self, time: float, product: bool = False) -> None:
        self.reported.append((time, product))
        self.add(time, product)

    def add(self, time: float, product: bool) -> None:
        self.spent.time += CALL + time
        self.spent.products += time * product
        self.spent.calls += 1

    def elementwise(self, name: str, arrays: list[np.ndarray], shape: tuple[int, ...]) -> None:
        """A ufunc over a shape, in inner loops along the axes that lie together in all arrays."""
        count = math.prod(shape)
        length, steps = _inner(arrays, shape)
        apart = any(step > a.itemsize for step, a in zip(steps, arrays, strict=True))
        near = sum(a.nbytes for a in arrays) < CACHE
        each = (NEAR if near else FAR) + APART * apart + SLOW.get(name, 0.0)
        self.call(count / max(length, 1) * LOOP + count * each)

    def reduction(self, name: str, a: np.ndarray, axes: tuple[int, ...]) -> None:
        kept = [k for k in range(a.ndim) if k not in axes and a.shape[k] > 1]
        gone = [k for k in axes if a.shape[k] > 1]
        least = min((*kept, *gone), key=lambda k: a.strides[k], default=0)
        length = _run(a, gone if least in gone else kept)
        start = EXTREMUM if least in gone and name in ("maximum", "minimum") else 2 * LOOP
        each = (NEAR if a.nbytes < CACHE else FAR) + APART * (a.strides[least] > a.itemsize)
        self.call(a.size / max(length, 1) * start + a.size * each)

    def product(self, a: np.ndarray, b: np.ndarray) -> None:
        """A stack of matrix products, each m x k by k x n."""
        m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
        stack = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
        copied = sum(x.size * APART for x in (a, b) if not _is_matrix(x))
        if 1 in (m, n):
            each = k * max(m, n) * VECTOR
        else:
            each = 2 * m * k * n / (FLOPS * (m / (m + 4)) * (n / (n + 8)) * (k / (k + 12)))
        self.call(stack * (MATRIX + each) + copied, product=True)


def _inner(arrays: list[np.ndarray], shape: tuple[int, ...]) -> tuple[int, list[int]]:
    """The length of a ufunc's inner loop, and the stride of each array in it."""
    strides = [np.broadcast_to(a, shape).strides for a in arrays]
    axes = [k for k in range(len(shape)) if shape[k] > 1]
    axes.sort(key=lambda k: [abs(s[k]) for s in reversed(strides)])  # as the output, the last one
    if not axes:
        return 1, [0 for _ in arrays]
    at, *rest = axes
    steps = [abs(s[at]) for s in strides]
    length = shape[at]
    for k in rest:
        if any(s[k] != s[at] * shape[at] for s in strides):
            break
        length, at = length * shape[k], k
    return length, steps


def _run(a: np.ndarray, axes: list[int]) -> int:
    """How many elements lie side by side along some axes."""
    length, step = 1, 0
    for k in sorted(axes, key=lambda k: a.strides[k]):
        if step and a.strides[k] != step:
            break
        length *= a.shape[k]
        step = a.strides[k] * a.shape[k]
    return length


def _is_matrix(a: np.ndarray) -> bool:
    """Whether BLAS takes the last two axes as they are."""
    (m, n), (s, t) = a.shape[-2:], a.strides[-2:]
    size = a.itemsize
    return (t == size and s >= n * size) or (s == size and t >= m * size) or 1 in (m, n)


def _made(shape: tuple[int, ...], dtype: Any, clock: _Clock) -> _Traced:
    """An array that nobody reads or writes: of a large one the system gives out no page.

    One that it would not give out at all lies over the memory of a single element.
    """
    try:
        found = np.empty(shape, dtype).view(_Traced)
    except MemoryError:
        steps = accumulate(shape[:0:-1], mul, initial=np.dtype(dtype).itemsize)
        element = np.empty(1, dtype)
        found = np.lib.stride_tricks.as_strided(element, shape, tuple(steps)[::-1]).view(_Traced)
    found.clock = clock
    return found


class _Traced(np.ndarray):
    """An array of which nobody reads an element."""

    clock: _Clock

    def __array_finalize__(self, other: Any) -> None:
        self.clock = getattr(other, "clock", _Clock())

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name, clock = ufunc.__name__, self.clock
        (out,) = options.get("out") or (None,)
        arrays = [np.asarray(x) for x in inputs if isinstance(x, np.ndarray)]
        if method == "at":
            clock.call(arrays[-1].size * SLOW["at"])
            return None
        if method == "reduce":
            axis = options.get("axis", 0)
            a = arrays[0]
            axes = tuple(range(a.ndim)) if axis is None else tuple(np.atleast_1d(axis) % a.ndim)
            clock.reduction(name, a, axes)
            shape = tuple(n for k, n in enumerate(a.shape) if k not in axes)
        elif name == "matmul":
            a, b = arrays
            wide, tall = np.atleast_2d(a), b[:, None] if b.ndim == 1 else b
            clock.product(wide, tall)
            shape = np.broadcast_shapes(wide.shape[:-2], tall.shape[:-2])
            shape += (() if a.ndim == 1 else (a.shape[-2],)) + (
                () if b.ndim == 1 else (b.shape[-1],)
            )
        elif name == "vecdot":
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
            clock.call(math.prod(shape) * NEAR + math.prod(shape[:-1]) * 2 * LOOP)
            shape = shape[:-1]
        else:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
            whole = [*arrays, *([np.asarray(out)] if out is not None else [])]
            full = np.broadcast_shapes(*(a.shape for a in whole))
            clock.elementwise(name, whole, full)
        if out is not None:
            return out
        return _made(shape, arrays[0].dtype, clock) if shape else 1.0

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name, clock = function.__name__, self.clock
        arrays = [np.asarray(x) for x in args if isinstance(x, np.ndarray)]
        if name == "copyto":
            clock.elementwise(name, [*arrays[1:], arrays[0]], arrays[0].shape)
            return None
        if name in ("take", "where", "concatenate"):
            out = options.get("out")
            clock.call((arrays[-1].size if out is None else out.size) * GATHERED)
            return out
        if name in ("einsum", "vdot", "dot", "argmax", "argmin"):
            clock.call(max(a.size for a in arrays) * (NEAR + SLOW["einsum"]))
            return options.get("out", 1.0)
        return super().__array_function__(function, types, args, options)

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if _is_gather(key):
            zeros = tuple(np.zeros(k.shape, int) if isinstance(k, np.ndarray) else k for k in keys)
            shape = np.broadcast_to(np.False_, self.shape)[zeros].shape
            self.clock.call(math.prod(shape) * SLOW["at"])
            return _made(shape, self.dtype, self.clock)
        return 1.0 if self._is_element(keys) else super().__getitem__(key)

    def _is_element(self, keys: tuple[Any, ...]) -> bool:
        return len(keys) == self.ndim and all(isinstance(k, int) for k in keys)

    def __setitem__(self, key: Any, value: Any) -> None:
        if _is_gather(key):
            return
        if self._is_element(key if isinstance(key, tuple) else (key,)):
            self.clock.call(NEAR)
            return
        place = np.asarray(super().__getitem__(key))
        given = [np.asarray(value)] if isinstance(value, np.ndarray) else []
        if not given or given[0].ctypes.data != place.ctypes.data:
            self.clock.elementwise("copyto", [*given, place], place.shape)

    def fill(self, value: Any) -> None:
        self.clock.elementwise("fill", [np.asarray(self)], self.shape)

    def take(self, *args: Any, **options: Any) -> None:  # type: ignore[override]
        self.clock.call(args[0].size * GATHERED)


def _is_gather(key: Any) -> bool:
    keys = key if isinstance(key, tuple) else (key,)
    return any(isinstance(k, np.ndarray) and k.ndim for k in keys)


class _NumPy:
    """NumPy, whose new arrays are traced."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = np.float64) -> _Traced:
        return _made(tuple(np.atleast_1d(shape).tolist()), dtype, self.clock)

    zeros = empty

    def full(self, shape: Any, value: Any, dtype: Any) -> _Traced:
        return self.empty(shape, dtype)

    def arange(self, count: int) -> _Traced:
        return self.empty(count, np.int64)
