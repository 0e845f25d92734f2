"""The chains of steps behind the cotangents, grouped and numbered as every view shows them.

    W_bar[i,j] = sum[n](x[n,i]*z_bar[n,j])    ->    through (3)   chain rule        7.1
                                                                  local derivative  7.2
                                                                  Kronecker delta   7

The numbers are those that the generated code cites. A cotangent that is written out where it is
read has a letter. An auxiliary equation that one equation reads, and whose cotangent is that
equation's own, is shown where it is read. What layers have in common is one chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sympy import Expr

from derive.gradients.calculus import CHAIN_RULE, RULES, Step
from derive.gradients.derivation import Gradients
from derive.gradients.folding import inserted
from derive.language.notation import Access, Equation, accesses
from derive.language.scans import reads
from derive.pages.reasons import equations
from derive.printing.latex_layout import LEFT_OUT, endless
from derive.printing.latex_names import Names
from derive.printing.latex_printer import expression_latex
from derive.printing.likewise import Likewise, alike, pattern

SUMMED, IMPLIED = "sum over uses", "range implied"


@dataclass(frozen=True)
class Line:
    """One line of a chain: by `rule` the equation has this form. `step` is what was recorded."""

    number: str
    rule: str
    equation: Equation
    step: Step | None = None


@dataclass(frozen=True)
class Use:
    """What one use of a tensor adds to its cotangent, from the chain rule on.

    It stands in the forward equation `through`, whose number is `number`; where that is a part of
    the equation of this number, `part` says which: "the sum in ". Without a number it is shown
    nowhere else.
    """

    through: Equation
    number: str
    part: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Chain:
    """How one cotangent was derived: through each use, and what became of their sum.

    The last line has the number of the chain. `same` are the layers of which the same is true.
    """

    equation: Equation
    number: str
    uses: tuple[Use, ...]
    rewritings: tuple[Line, ...]
    same: Likewise

    @property
    def lines(self) -> tuple[Line, ...]:
        return (*(line for use in self.uses for line in use.lines), *self.rewritings)


class Chains:
    """The chains of a derivation, in the order of their numbers, and the symbols they use.

    `others` are more equations on the page. `before` are the chains that it shows before these,
    the page's own derivation first: letters go on from theirs, and what is derived as in the first
    is not derived again: `referred` names, by target, the cotangent there whose steps are the same
    but for the names of cotangents.
    """

    def __init__(
        self,
        gradients: Gradients,
        others: Sequence[Equation] = (),
        before: Sequence[Chains] = (),
    ) -> None:
        self.gradients = gradients
        self.letters: dict[str, str] = {}
        self.lettered = sum(len(chains.letters) for chains in before)
        self.parts = gradients.parts
        whole = gradients.forward.equations
        self.readers = {a.tensor: e.target for e in reversed(whole) for a in accesses(e.body)}
        self.named = {e.target: e for e in gradients.backward}
        known = (chains.derived for chains in before)
        self.derived: frozenset[str] = derived(gradients).union(*known)
        self.names = symbols(gradients, others, self.derived)
        self.known = equations(gradients)
        self.items = [(self._concluded(tensor, steps), steps) for tensor, steps in self._grouped()]
        self.referred: dict[str, str] = {}
        items = self._differing_from(before[0]) if before else self.items
        self.chains = tuple(
            self._chain(equation, steps, same) for (equation, steps), same in alike(items, _begun)
        )

    def number(self, tensor: str) -> str:
        """The number of an equation; a letter for one that stands only within others."""
        if tensor in self.gradients.numbers:
            return str(self.gradients.numbers[tensor])
        return self.letters.setdefault(tensor, _letters(self.lettered + len(self.letters)))

    @cached_property
    def patterns(self) -> Mapping[object, str]:
        """What is derived how: the target of each cotangent that has steps."""
        found = {_pattern(item, {}): item[0].target for item in self.items}
        return {steps: t for steps, t in found.items() if t in self.gradients.numbers}

    def _differing_from(self, page: Chains) -> list[tuple[Equation, list[Step]]]:
        """What is derived here and not on the page before, in other names perhaps."""
        there, here = page.gradients, self.gradients
        theirs = there.differentiated
        names = {bar: theirs[t] for t, bar in here.differentiated.items() if t in theirs}
        items = []
        for item in self.items:
            target = item[0].target
            number = there.numbers.get(target)
            if number is not None and number == here.numbers.get(target):
                continue
            found = page.patterns.get(_pattern(item, names))
            if found is not None:
                self.referred[target] = found
            else:
                items.append(item)
        return items

    def _concluded(self, tensor: str, steps: list[Step]) -> Equation:
        """What the steps arrive at."""
        return self.named.get(tensor) or steps[-1].after

    def _grouped(self) -> list[tuple[str, list[Step]]]:
        """The steps of each cotangent; those without a number before the next that has one."""
        cotangents = self.gradients.differentiated
        hidden = {cotangents[part] for part in self.parts if part in cotangents}
        groups: dict[str, list[Step]] = {target: [] for target in self.named}
        last: dict[str, int] = {}
        for k, step in enumerate(self.gradients.steps):
            if step.after.target not in hidden:
                groups.setdefault(step.after.target, []).append(step)
                last[step.after.target] = k
        numbers = self.gradients.numbers
        place: dict[str, tuple[int, int, int]] = {}
        following = max(numbers.values(), default=0) + 1
        for tensor in sorted(groups, key=lambda t: last.get(t, -1), reverse=True):
            number = numbers.get(tensor)
            following = min(following, number or following)
            place[tensor] = (number or following, int(number is not None), last.get(tensor, -1))
        return [(tensor, groups[tensor]) for tensor in sorted(groups, key=place.__getitem__)]

    def _chain(self, equation: Equation, steps: list[Step], same: Likewise) -> Chain:
        number = self.number(equation.target)
        begun, rewritings = _uses(steps)
        uses = []
        for use in begun:
            lines = [Line("", s.rule, inserted(s.after, self.parts), s) for s in use]
            tensor, part = self._place(use[0].before)
            uses.append(Use(use[0].before, self._known(tensor), part, self._differing(lines)))
        rest: list[Line] = []
        if len(uses) != 1:
            whole = rewritings[0].before if rewritings else equation
            rest.append(Line("", SUMMED if uses else "", inserted(whole, self.parts)))
        rest += [Line("", s.rule, inserted(s.after, self.parts), s) for s in rewritings]
        rest.append(Line("", IMPLIED, inserted(equation, self.parts)))
        known = uses[0].lines[-1:] if len(uses) == 1 else ()
        found = self._differing([*known, *rest])[len(known) :]
        total = sum(len(use.lines) for use in uses) + len(found)
        tags = iter([*(f"{number}.{k}" for k in range(1, total)), number])

        def numbered(lines: Iterable[Line]) -> tuple[Line, ...]:
            return tuple(replace(line, number=next(tags)) for line in lines)

        uses = [replace(use, lines=numbered(use.lines)) for use in uses]
        return Chain(equation, number, tuple(uses), numbered(found), same)

    def _differing(self, lines: Iterable[Line]) -> tuple[Line, ...]:
        """The lines that do not read as the one before."""
        kept: list[Line] = []
        before = ""
        for line in lines:
            e = line.equation
            shown = LEFT_OUT if endless(e.body) else expression_latex(e.body, self.names, e.indices)
            if shown != before:
                kept.append(line)
            before = shown
        return tuple(kept)

    def _place(self, equation: Equation) -> tuple[str, str]:
        """The equation shown that a forward equation stands in, and which part of it it is."""
        tensor, part = equation.target, ""
        if tensor in self.parts and not self._known(tensor):
            part = f"the {equation.reduction} in " if equation.reduction else ""
            while tensor in self.parts and not self._known(tensor):
                tensor = self.readers[tensor]
        return tensor, part

    def _known(self, tensor: str) -> str:
        number = self.gradients.numbers.get(tensor)
        return str(number) if number else ""


def chains(gradients: Gradients) -> tuple[Chain, ...]:
    """The chains of a derivation, in the order of their numbers."""
    return Chains(gradients).chains


def derived(gradients: Gradients) -> frozenset[str]:
    """What a derivation named: the cotangents, with those given, and what they are computed of."""
    forward = gradients.forward
    found = {t.name for t in forward.inputs}.difference(*map(reads, forward.equations))
    found |= {e.target for e in gradients.backward} | {*gradients.cotangents.values()}
    found |= {s.after.target for s in gradients.steps}
    return frozenset(found | {e.target for e in forward.equations if e.origin in found})


def symbols(
    gradients: Gradients, others: Sequence[Equation] = (), named: Collection[str] = ()
) -> Names:
    """The symbols of all tensors of a derivation, and of `others` that its page shows.

    `named` are more names that are no user's.
    """
    named = {*named, *derived(gradients)}
    whole = (*gradients.forward.equations, *gradients.backward, *others)
    ranks = {t.name: len(t.axes) for t in gradients.forward.inputs}
    ranks |= {e.target: len(e.indices) for e in whole}
    ranks |= {s.after.target: len(s.after.indices) for s in gradients.steps}
    return Names(tuple(ranks), tuple(t for t, rank in ranks.items() if rank == 2), named)


def _uses(steps: list[Step]) -> tuple[list[list[Step]], list[Step]]:
    """The chain of each use of a tensor, and the rewritings of their sum."""
    uses: list[list[Step]] = []
    rewritings: list[Step] = []
    for step in steps:
        if step.rule == CHAIN_RULE:
            uses.append([step])
        elif step.rule in RULES and uses and not rewritings:
            uses[-1].append(step)
        else:
            rewritings.append(step)
    return uses, rewritings


def _begun(item: tuple[Equation, list[Step]]) -> tuple[Equation, ...]:
    """What makes one chain of steps like another: where it begins, and each step."""
    equation, steps = item
    begins = [s.before for s in steps if s.rule == CHAIN_RULE]
    return (equation, *begins, *(s.after for s in steps))


def _pattern(item: tuple[Equation, list[Step]], names: Mapping[str, str]) -> object:
    """What makes one chain of steps the same as another, with these names for cotangents."""
    rules = tuple(step.rule for step in item[1])
    return rules, tuple(pattern(_renamed(e, names)) for e in _begun(item))


def _renamed(e: Equation, names: Mapping[str, str]) -> Equation:
    start = e.recurrence and replace(e.recurrence, initial=_read(e.recurrence.initial, names))
    target = names.get(e.target, e.target)
    return replace(e, target=target, body=_read(e.body, names), recurrence=start)


def _read(e: Expr, names: Mapping[str, str]) -> Expr:
    read = (a for a in accesses(e) if a.tensor in names)
    return e.xreplace({a: Access(names[a.tensor], *a.indices) for a in read})


def _letters(k: int) -> str:
    return (_letters(k // 26 - 1) if k >= 26 else "") + chr(65 + k % 26)
