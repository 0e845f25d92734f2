"""Parts of a network's module as lines of text: workspaces and functions, and what they cite.

Each statement cites the number of its equation, which stands above the first of them. The numbers
of layers are marked, so that `rolling` can print repeated layers as loops.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from derive.code.numpy_printer import WIDTH, header, plain, prefixed, wrapped
from derive.code.scheduling import Schedule
from derive.code.statements import Statement
from derive.code.views import shape_text
from derive.gradients.derivation import Gradients
from derive.language.likeness import Memory, likeness
from derive.language.notation import REMEMBERED, Equation, Index, Tensor, accesses
from derive.modules.rolling import field, local, mark, marked
from derive.networks.network_parts import Network, Parameter, State
from derive.networks.passes import Targets
from derive.networks.supplements import Supplement

COMMENT = 88  # columns of a comment


@dataclass(frozen=True)
class Routine:
    """A function of the module; `lines` are its body."""

    name: str
    arguments: str
    summary: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """A workspace class and the functions that run in it."""

    workspace: str
    arguments: str
    summary: str
    setup: tuple[str, ...]
    passes: tuple[Routine, ...]
    output: str = ""  # where the network's output is after the first pass
    output_bar: str = ""  # and its cotangent
    threads: int = 1  # that shall share a batch
    is_copied: bool = True  # its input


@dataclass(frozen=True)
class Citations:
    """Number and text of each equation, by target, the numbers of layers in them marked."""

    numbers: Mapping[str, str]
    equations: Mapping[str, str]

    def note(self, target: str) -> str:
        """The citation at the end of a line that computes a part of this equation."""
        return f"  # ({self.numbers[target]})" if target in self.numbers else ""

    def lines(self, statements: Iterable[Statement], names: Mapping[str, str]) -> Iterable[str]:
        """The statements as lines of Python, those of each equation below the equation."""
        computing = (s for s in statements if s.out)  # the others check what the module checks
        shown: set[str] = set()
        for loop, repeated in groupby(computing, key=lambda s: s.loop):
            if loop is None:
                yield from self.plain(repeated, names, WIDTH, shown)
                continue
            # A loop over tiles is an equation's statements as they go on.
            body = self.plain(repeated, names, WIDTH - 4, set() if loop.counter else shown)
            # One piece of text, which a loop over layers does not cut through.
            head = "\n".join(wrapped(header(loop, names), WIDTH))
            yield "\n    ".join((head, *body))

    def plain(
        self,
        statements: Iterable[Statement],
        names: Mapping[str, str],
        width: int,
        shown: set[str],
    ) -> Iterable[str]:
        """The lines of statements which stand in one loop, or in none; `shown` are the equations
        that stand above already.
        """
        for origin, group in groupby(statements, key=lambda s: s.origin):
            if origin in self.equations and origin not in shown:
                shown.add(origin)
                number = f"({self.numbers[origin]}) " if origin in self.numbers else ""
                yield f"# {number}{self.equations[origin]}"
            yield from plain(group, names, self.numbers, width)


def cited(page: Gradients) -> Citations:
    """The equations of the page, each under its number."""
    return Citations(
        {target: mark(number) for target, number in page.numbers.items()},
        {e.target: _text(e) for e in page.equations},
    )


def cited_beside(page: Gradients, beside: Supplement) -> Citations:
    """The equations of a supplement: those that the page has too as they stand there."""
    shared = {t for t, k in beside.numbers.items() if page.numbers.get(t) == k}
    of_page = (e for e in page.equations if e.target in shared)
    own = (e for e in beside.gradients.equations if e.target not in shared)
    return Citations(
        {target: mark(number) for target, number in beside.numbers.items()},
        {e.target: _text(e) for e in (*of_page, *own)},
    )


@lru_cache(maxsize=REMEMBERED)
def _text(e: Equation) -> str:
    """An equation as comments state it; several workspaces do."""
    alike = likeness((e.access, e.body))
    names = [str(name.name) for name in alike.names]
    # A word is then one name; an inner index may be printed under another.
    plain = not alike.words & {*names} and len({*names}) == len(names)
    if not plain or any("__" in name for name in names):
        return marked(str(e))
    if alike.in_sizes not in _TEXTS:
        place = {name: f"{{{k}}}" for k, name in enumerate(names)}
        _TEXTS[alike.in_sizes] = _WORD.sub(lambda m: place.get(m[0], m[0]), str(e))
    return marked(_TEXTS[alike.in_sizes].format(*names))


_TEXTS: Memory[str] = Memory()  # of equations alike, with fields for the names
_WORD = re.compile(r"(?<![\w.])[^\W\d]\w*")


def parted(schedule: Schedule, sections: Iterable[Targets]) -> list[tuple[Statement, ...]]:
    """The statements of each section; what belongs to none is of the last."""
    parts: list[tuple[Statement, ...]] = []
    known: set[str] = set()
    done = 0
    for section in sections:
        known |= section
        upto = len(schedule.split(known)[0])
        parts.append(schedule.statements[done:upto])
        done = upto
    parts[-1] += schedule.statements[done:]
    return parts


def crossing(parts: Sequence[Iterable[Statement]]) -> set[str]:
    """What one function computes and a later one reads."""
    found: set[str] = set()
    computed: set[str] = set()
    for part in parts:
        found |= computed & {b for s in part for b in s.reads}
        computed |= {s.out for s in part}
    return found


def fielded(schedule: Schedule, shared: Collection[str] = ()) -> Mapping[str, str]:
    """The buffers as fields of the workspace, the numbers of layers in their names marked.

    Scalars are local names, but for those that are `shared` by several functions.
    """
    held = {b.name for b in schedule.buffers if b.shape and not b.local}
    held |= {s.out for s in schedule.setup}
    names = prefixed(schedule, "ws.")
    steps = {b.name: b.label or b.name for b in schedule.buffers if b.local}
    return {slot.name: field(slot.name) for slot in schedule.slots} | {
        b: field(b) if b in held or b in shared else local(steps[b]) if b in steps else name
        for b, name in names.items()
    }


_LOCAL = {"N": "N = len(ws.x)", "dtype": "dtype = ws.x.dtype"}


def opened(body: Sequence[str], local: Mapping[str, str] = _LOCAL) -> list[str]:
    """A function's body, after what binds the local names that its statements read."""
    code = (line.split("#")[0] for text in body for line in text.split("\n"))
    words = set(re.findall(r"(?<![\w.])\w+", " ".join(code)))  # no fields
    return [binding for name, binding in local.items() if name in words] + [*body]


def mappings(kept: tuple[str, ...]) -> Iterable[str]:
    """What loops over layers read: for each of these fields a mapping from a layer's number."""
    if kept:
        yield from textwrap.wrap(
            f"for name in {list(kept)}:".replace("'", '"'),
            COMMENT,
            subsequent_indent="    ",
        )
        yield "    setattr(ws, name, {})  # by the number of the layer"


def bound(
    tensors: Iterable[Parameter | State],
    schedule: Schedule,
    names: Mapping[str, str],
    columns: Mapping[str, Mapping[str, str]],
) -> Iterable[str]:
    """Parameters, and what goes with each, as views into flat vectors.

    `columns` gives for the name of each mapping of views what a parameter is called there, itself
    where nothing else is said.
    """
    for tensor in tensors:
        left, right = [], []
        for views, called in columns.items():
            own = tensor.axes.name
            name = schedule.names.get(called.get(own, own), "")
            if name in names:
                left.append(names[name])
                right.append(f'{views}["{public(tensor.name)}"]')
        if left:
            shape = " x ".join(str(i.size) for i in tensor.axes.axes) or "scalar"
            together = f"{', '.join(left)} = {', '.join(right)}  # {shape}"
            if len(together) < COMMENT:
                yield together
            else:
                yield from (f"{a} = {b}  # {shape}" for a, b in zip(left, right, strict=True))


def public(name: str) -> str:
    """The public name of a parameter, `dense_2.W`, with the number of its layer marked."""
    layer, _, rest = name.partition(".")
    return f"{field(layer).removeprefix('ws.')}.{rest}"


def target(network: Network) -> Tensor:
    """`y`; where the loss reads none, a number for each sample."""
    return network.target or Tensor("y", network.input.axes[:1])


def in_order(tensor: str, schedule: Schedule, names: Mapping[str, str]) -> str:
    """The text of a tensor's array with its axes in the order of its indices."""
    return names[schedule.names[tensor]] + schedule.turned.get(tensor, "")


def arrays(
    network: Network,
    citations: Citations,
    schedule: Schedule,
    names: Mapping[str, str],
    is_copied: bool = True,
) -> Iterable[str]:
    """The arrays that a batch is copied to, and those that are filled at random.

    The distribution of a draw is that for which the equation that reads it is made. An input that
    is not copied is there at each step anew.
    """
    if not is_copied:
        yield f"ws.{network.input.name} = ws.held = None  # an input is read where it is, or here"
        yield "ws.dtype = dtype"
    yield from copied((network.input,) * is_copied + (target(network),), schedule, names)
    readers = {a.tensor: e for e in reversed(network.program.equations) for a in accesses(e.body)}
    if network.draws:
        yield "ws.drawn = []  # arrays of random numbers, each with its distribution"
    for draw in network.draws:
        name = field(draw.axes.name)
        yield f"{name} = _empty({_shape(draw.axes.axes)}, dtype)"
        reader = readers.get(draw.axes.name)  # none where noise has the deviation 0
        cited = citations.note(reader.target) if reader else ""
        yield f'ws.drawn.append(("{draw.distribution}", {name})){cited}'


def copied(
    tensors: Iterable[Tensor], schedule: Schedule, names: Mapping[str, str]
) -> Iterable[str]:
    """The arrays that inputs are copied to."""
    for tensor in tensors:
        dtype = "np.int64" if tensor.kind == "integer" else "dtype"
        if tensor.name not in schedule.turned:
            yield f"ws.{tensor.name} = _empty({_shape(tensor.axes)}, {dtype})"
            continue
        laid = schedule.buffer(schedule.names[tensor.name])
        yield f"{names[laid.name]} = _empty({shape_text(laid.shape)}, {dtype})"
        turned = in_order(tensor.name, schedule, names)
        yield f"ws.{tensor.name} = {turned}  # {' x '.join(str(i.size) for i in tensor.axes)}"


def _shape(axes: tuple[Index, ...]) -> str:
    shape = ", ".join(str(i.size) for i in axes)
    return f"({shape})" if len(axes) > 1 else shape


def raised(message: str) -> tuple[str, ...]:
    """The lines that raise a ValueError with this message."""
    return ("raise ValueError(", *(f"    {part}" for part in literals(message)), ")")


def literals(message: str) -> list[str]:
    """A message as literals of strings, of which each stands on a line of its own."""
    parts = textwrap.wrap(message, COMMENT - 10, drop_whitespace=False, break_on_hyphens=False)
    return [json.dumps(part, ensure_ascii=False) for part in parts]
