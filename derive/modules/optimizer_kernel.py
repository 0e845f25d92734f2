"""The update of all parameters at once: equations over the flat vectors, tile by tile.

    w_next[p] = w[p] - learning_rate*g[p]    ->    ws.c_1[()] = learning_rate
                                                   for w, g, parts in ws.tiles:
                                                       for part in parts:
                                                           np.add(g, part, out=g)
                                                       np.multiply(g, ws.c_1, out=g)
                                                       np.subtract(w, g, out=w)

Parameters, gradient and states are each one vector, so that a step takes as many calls for a
hundred layers as for one. The vectors are worked on in tiles that stay in the cache; scalars are
arrays of rank 0, made once, which NumPy takes faster than Python's numbers. The gradient is used
up: what is computed when it has been read lies in its place.

Long vectors are updated by two threads, since one alone does not use all that memory can move:

    for w, g, slot_1, shares in ws.tiles:    ->    def share(tiles):
        ...                                            for w, g, slot_1, shares in tiles:
                                                           ...
                                                   _each(share, ws.shares)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sympy import Expr, Pow

from derive.code.liveness import lives
from derive.code.lowering import lower
from derive.code.numpy_printer import LINE, WIDTH, plain, prefixed
from derive.code.scheduling import Schedule, Slot, fresh, workspace
from derive.gradients.normal_form import flatten, needed
from derive.language.notation import Access, Equation, Program, Tensor, accesses
from derive.modules.kernels import Citations, Kernel, Routine, opened
from derive.modules.scaled_updates import Scaled, scaled
from derive.networks.updates import Update
from derive.numerics.stability import stabilize

CACHE = 2**20  # bytes of the tiles of all vectors: half of a second-level cache
TILE = (2**16, 2**18)  # bytes of a tile: below, calls take longer than work
LONG = 2**21  # elements of vectors that two threads update in less time than one
SHARED = 2**19  # bytes of their tiles: below, threads wait for each other at every call
RATE = "learning_rate"


def kernel(update: Update, size: int) -> Kernel:
    """The update of so many parameters, tile by tile; sums over them all come before that.

    Where several vectors of gradients are given, parts of a batch, it is made from their sum.
    """
    optimizer = update.optimizer
    cited = Citations(
        {target: str(number) for target, number in update.numbers.items()},
        {e.target: str(e) for e in update.program.equations},
    )
    whole, each = _divided(stabilize(flatten(update.program), "training"))
    summed = {a.tensor for e in whole.equations for a in accesses(e.body)}
    short = scaled(each, optimizer.states, summed)
    tile = _decimal(short.program)
    over = {f"{s}_next": s for s in ("w", *optimizer.states)}
    schedule = workspace(lower(tile, tuple(over)), (t.name for t in tile.inputs), over)
    names = {b: b for b in prefixed(schedule, "")}
    over_g = _over_gradient(schedule)
    for slot in schedule.slots:
        names |= dict.fromkeys(slot.buffers, "g" if slot == over_g else slot.name)
    names |= {name: f"ws.{name}" for name in short.named}
    slots = [slot for slot in schedule.slots if slot != over_g]
    scratch = [slot.name for slot in slots]
    statements = [*cited.plain(schedule.statements, names, WIDTH - 4, set())]
    of_g = cited.note(next((e.target for e in update.program.equations if _reads(e, "g")), ""))
    vectors = ("w", "g", *optimizer.states)
    local = {RATE: f"{RATE} = ws.{RATE}"}
    local |= {v: f"{v} = ws.{v}" for v in vectors}
    added: tuple[str, ...] = ()
    in_tile: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    if "g" in summed:  # then the whole gradient is there before the tiles
        added = ("for part in ws.parts:", f"    np.add(ws.g, part, out=ws.g){of_g}")
    else:
        own = ("[a[i : i + tile] for a in w_bars]",)
        in_tile = ("    for part in parts:", f"        np.add(g, part, out=g){of_g}")
    once = [*_whole(_decimal(whole), cited), *_scalars(short, cited)]
    read = ", ".join((*vectors, *scratch, *["parts"] * bool(own)))
    long = size >= LONG
    body = (
        "t = int(ws.t) + 1",
        "ws.t[()] = t",
        *added,
        *opened(once, local),
        *_loop(f"for {read} in", [*in_tile, *(f"    {line}" for line in statements)], long),
    )
    kinds = [_DTYPE[slot.kind] for slot in slots]
    made = f"[_empty(tile, dtype) for dtype in [{', '.join(kinds)}]]"
    setup = (
        f"ws.learning_rate = {optimizer.learning_rate!r}",
        "ws.t = np.zeros((), np.int64)  # steps made",
        *(f"ws.{v} = {a}" for v, a in (("w", "w"), ("g", "w_bar")) if v in summed),
        *["ws.parts = w_bars"] * bool(added),
        *_states(optimizer.states, short.units, cited),
        *_constants(short, cited),
        *_tiles(_bytes(len(vectors) + len(scratch)), made, optimizer.states, own, long),
    )
    return Kernel(
        "Optimizer",
        "w, w_bar, *w_bars",
        f"The state of {optimizer.name}, and the flat vectors in tiles.",
        setup,
        (Routine("update", "ws", f"One step of {optimizer.name}, from `w_bar`.", body),),
    )


def _over_gradient(schedule: Schedule) -> Slot | None:
    """A slot that begins in a statement which reads the gradient for the last time, or after it."""
    buffers = {b.name: b for b in schedule.buffers}
    first, last = lives(schedule.statements, buffers)
    read = last.get("g", -1)
    for slot in schedule.slots:
        begin = min(first[b] for b in slot.buffers)
        # What a statement of several lines writes first it may read beside the gradient.
        one = begin > read or "\n" not in schedule.statements[int(begin)].text
        if slot.kind == "real" and begin >= read and one and not any(slot.starts):
            return slot
    return None


def _loop(head: str, body: Iterable[str], long: bool) -> Iterable[str]:
    """The loop over tiles, or over those of each thread."""
    if not long:
        return (f"{head} ws.tiles:", *body)
    inner = (line for text in (f"{head} tiles:", *body) for line in text.split("\n"))
    return (
        "",
        "def share(tiles):",
        *(f"    {line}" for line in inner),
        "",
        "_each(share, ws.shares)",
    )


def _tiles(
    size: int, scratch: str, states: Iterable[str], own: Iterable[str], long: bool
) -> Iterable[str]:
    """The lines that divide the vectors into tiles of at most so many bytes.

    Each thread has arrays of its own for what lies between.
    """
    yield f"flat = ({', '.join(('w', 'w_bar', *(f'ws.{s}' for s in states)))})"
    if long:
        yield "threads = _updating()"
        yield f"rounds = math.ceil(w.nbytes / (threads * {SHARED}))"
        yield f"tile = {LINE} * math.ceil(len(w) / (threads * rounds * {LINE}))"
        scratch = f"[{scratch} for _ in range(threads)]"
    else:
        yield f"tile = min({size} // w.itemsize, len(w)) or 1"
    yield f"scratch = {scratch}"
    yield f"{'tiles' if long else 'ws.tiles'} = [  # so many elements that they stay in the cache"
    yield "    ("
    yield "        *(a[i : i + tile] for a in flat),"
    beside = "scratch[i // tile % threads]" if long else "scratch"
    yield f"        *(a[: len(w) - i] for a in {beside}),"
    yield from (f"        {part}," for part in own)
    yield "    )"
    yield "    for i in range(0, len(w), tile)"
    yield "]"
    if long:
        yield "ws.shares = [tiles[k::threads] for k in range(threads)]  # each of a thread"


_DTYPE = {"real": "w.dtype", "integer": "np.int64", "boolean": "bool"}


def _bytes(arrays: int) -> int:
    """What a tile has of each array: a power of two."""
    least, most = TILE
    size = most
    while size > least and size * arrays > CACHE:
        size //= 2
    return size


def _states(states: Iterable[str], units: Mapping[str, Expr], cited: Citations) -> Iterable[str]:
    """The lines that make the states, each with the unit that it is kept in."""
    for s in states:
        unit = f" {s}/{_number(units[s])}" if s in units else ""
        yield f"ws.{s} = _zeros(len(w), w.dtype){cited.note(f'{s}_next')}{unit}"
    state = "".join(f', "{s}": ws.{s}' for s in states)
    yield f'ws.state = {{"t": ws.t{state}}}'
    kept = ", ".join(f'"{s}": {_number(k)}' for s, k in units.items())
    yield f"ws.units = {{{kept}}}  # what states are divided by"


def _constants(short: Scaled, cited: Citations) -> Iterable[str]:
    """The lines that make arrays of rank 0: constants, and room for the scalars of a step."""
    for e in short.constants:
        yield f"ws.{e.target} = np.array({_number(e.body)}, w.dtype){cited.note(e.origin)}"
    for e in short.scalars:
        if e.target in short.named:
            yield f"ws.{e.target} = np.empty((), w.dtype)"


def _number(e: Expr) -> str:
    """A number as Python writes it."""
    return repr(float(e.evalf(17)))


def _scalars(short: Scaled, cited: Citations) -> Iterable[str]:
    """The statements of a step's scalars, each written into its array."""
    read = {a.tensor for e in short.scalars for a in accesses(e.body)}
    inputs = tuple(Tensor(name, ()) for name in sorted(read - {e.target for e in short.scalars}))
    results = tuple(e.target for e in short.scalars)
    if results:
        program = _decimal(Program(short.scalars, inputs, results=results))
        schedule = fresh(lower(program, results))
        written = {**prefixed(schedule, ""), **{c: f"ws.{c}[()]" for c in short.named}}
        for line in plain(schedule.statements, written, cited.numbers):
            yield line.replace("np.sqrt(", "math.sqrt(")  # of Python's numbers it takes a third


def _reads(e: Equation, tensor: str) -> bool:
    return any(a.tensor == tensor for a in accesses(e.body))


def _decimal(program: Program) -> Program:
    """The program with its fractions as floating-point numbers: 9*m/10 -> 0.9*m."""

    def decimal(e: Expr) -> Expr:
        if isinstance(e, Access) or not e.args:
            return e.evalf(17) if e.is_Rational and not e.is_Integer else e
        if isinstance(e, Pow):
            return Pow(decimal(e.base), e.exp if e.exp.is_Rational else decimal(e.exp))
        return e.func(*map(decimal, e.args))

    equations = tuple(replace(e, body=decimal(e.body)) for e in program.equations)
    return replace(program, equations=equations)


def _divided(program: Program) -> tuple[Program, Program]:
    """What sums over the whole vector, and the rest, which reads those sums as inputs."""
    once = tuple(e for e in program.equations if not e.indices)
    each = tuple(e for e in program.equations if e.indices)
    read = {a.tensor for e in each for a in accesses(e.body)}
    sums = tuple(e.target for e in once if e.target in read)
    scalars = tuple(Tensor(name, ()) for name in sums)
    return (
        replace(needed(program, sums), results=sums),
        replace(program, equations=each, inputs=(*program.inputs, *scalars)),
    )


def _whole(program: Program, cited: Citations) -> Iterable[str]:
    """The statements of sums over the whole vector."""
    if program.equations:
        schedule = fresh(lower(program, results=program.results))
        yield from cited.lines(schedule.statements, prefixed(schedule, ""))
