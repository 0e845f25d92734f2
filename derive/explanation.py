"""What stands behind a line of a generated module: the equation it cites and the steps to that.

    generated/digits_mlp.py:207  ->  (9)  ->  W_2_bar[j,k] = sum[n](a_1[n,j]*z_2_bar[n,k])
                                              through (3), of dense_2; chain rule, ...

The module is read as text. What would be generated now tells whether it still is what its docstring
says that it was generated from.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from derive.code.citations import Citation, Function, citations, functions
from derive.language.notation import DeriveError, Equation
from derive.language.source import printable
from derive.module_origin import Group, Subject
from derive.pages.chains import Chain
from derive.pages.terminal import Screen
from derive.pages.terminal_rows import Style

MANY = 3  # numbers of one line that are explained; of a loop over layers there may be hundreds


# Whether a module is what it says it is.


def difference(text: str, now: str) -> int | None:
    """The first line that is not what would be generated now; None where all are."""
    pairs = zip_longest(text.split("\n"), now.split("\n"))
    return next((k for k, (a, b) in enumerate(pairs, 1) if a != b), None)


def stated(text: str, found: Iterable[Citation], number: int) -> frozenset[str]:
    """What a module states under a number: its equation where there is one, else what cites it."""
    lines = text.split("\n")
    cited = [c for c in found if number in c.numbers]
    equations = [c for c in cited if not c.is_statement] or cited
    return frozenset(
        " ".join(line.strip() for line in lines[c.first - 1 : c.last]) for c in equations
    )


# Printing.


@dataclass(frozen=True)
class Explained:
    """What stands behind one equation, as lines; its steps, which `chain` numbers, aside."""

    head: tuple[str, ...]
    chain: str = ""
    steps: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self.head, *self.steps)


@dataclass(frozen=True)
class Explanation:
    """What stands behind the lines of a module whose text this is; each equation printed once."""

    subject: Subject
    text: str
    path: Path
    width: int
    style: Style

    @property
    def name(self) -> str:
        """The module's path."""
        return printable(str(self.path))

    @cached_property
    def found(self) -> tuple[Citation, ...]:
        """The statements and equations that cite."""
        return tuple(c for c in citations(self.text) if c.numbers)

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        return functions(self.text)

    @cached_property
    def stale(self) -> int | None:
        """The first line that is not what would be generated now."""
        return difference(self.text, self.subject.text)

    @cached_property
    def now(self) -> tuple[Citation, ...]:
        """The statements and equations of what would be generated now."""
        return citations(self.subject.text)

    @cached_property
    def known(self) -> dict[int, Explained]:
        """The explanations printed so far."""
        return {}

    def lines(self, first: int, last: int) -> Iterator[str]:
        """The explanation of these lines.

        Raises DeriveError where an equation is no longer what the module says under its number.
        """
        lines = self.text.split("\n")
        found = [c for c in self.found if c.first <= last and c.last >= first]
        around = next((f for f in self.functions if f.first <= first <= f.last), None)
        place = f"{self.name}:{first}" + (f"-{last}" if last > first else "")
        yield self.style.heading(place) + (f", in {around.name}" if around else "")
        shown = {k for c in found for k in range(c.first, c.last + 1)} | {*range(first, last + 1)}
        shown_lines = (printable(lines[k - 1].expandtabs().rstrip()) for k in sorted(shown))
        yield from (f"  {line}" for line in shown_lines if line)
        if not found:
            yield ""
            yield from self.uncited(first, around)
        for c in found:
            if len(c.numbers) > MANY:
                some = ", ".join(f"({n})" for n in c.numbers[:MANY])
                yield f"  In the loop it computes {some}, ..., ({c.numbers[-1]})."
        seen: dict[str, int] = {}
        for number in dict.fromkeys(n for c in found for n in c.numbers[:MANY]):
            equation = self.equation(number, first)
            yield ""
            yield from equation.head
            if equation.steps and seen.setdefault(equation.chain, number) != number:
                yield f"  Its steps are those of ({equation.chain}) above."
            else:
                yield from equation.steps

    def equation(self, number: int, line: int) -> Explained:
        """The explanation of one equation, which this line cites."""
        if number not in self.known:
            entry = self.subject.find(number)
            if entry is None or (self.stale and self.stated(number) != self.stated_now(number)):
                raise DeriveError(
                    f"{self.name}:{line}: equation ({number}) is not what this line was generated "
                    f"from: the module is stale or was edited, first in line {self.stale}; "
                    "generate it again"
                )
            printed = Printed(self.subject, *entry, number, self.width, self.style)
            self.known[number] = printed.explained()
        return self.known[number]

    def stated(self, number: int) -> frozenset[str]:
        return stated(self.text, self.found, number)

    def stated_now(self, number: int) -> frozenset[str]:
        return stated(self.subject.text, self.now, number)

    def uncited(self, line: int, around: Function | None) -> Iterator[str]:
        """Where a line is that cites nothing, and the nearest that do."""
        yield "This line cites no equation."
        name = around.name if around else ""
        if around and around.words:
            yield from textwrap.wrap(printable(f"{name}: {around.words}"))
        near = [c for c in self.found if name and c.function == name] or self.found
        before = [c for c in near if c.last < line][-1:]
        after = [c for c in near if c.first > line][:1]
        for c in (*before, *after):
            numbers = ", ".join(f"({n})" for n in c.numbers[:MANY])
            where = f" in {c.function}" if c.function != name and c.function else ""
            yield f"  line {c.first}{where} cites {numbers}"


@dataclass(frozen=True)
class Printed:
    """The explanation of one equation, of this number and group."""

    subject: Subject
    group: Group
    equation: Equation
    number: int
    width: int
    style: Style

    @cached_property
    def screen(self) -> Screen:
        return self.screen_of(self.group)

    @property
    def page(self) -> Group:
        """The derivation."""
        return self.subject.groups[0]

    def screen_of(self, group: Group) -> Screen:
        return Screen(group.chains, self.width, self.style)

    def explained(self) -> Explained:
        target = self.equation.target
        like = self.group.chains.referred.get(target, "")
        derived = self.page if like else self.group
        chain = _chain(derived, like or target)
        if chain is None:
            return Explained((*self.stated(), *self.around()))
        steps = ("", self.style.heading("Steps"), *self.as_another(chain, like))
        steps += tuple(self.screen_of(derived).chain(chain))
        return Explained((*self.stated(), *self.through()), chain.number, steps)

    def stated(self) -> Iterator[str]:
        """The equation, and the definition that it comes from."""
        yield f"{self.style.number(f'({self.number})')} of {self.group.words}"
        yield from self.screen.equations([self.equation])
        for definition in self.group.definitions:
            if self.equation.target in definition.names:
                yield from self.titled(f"From {definition.name}", _lines(definition.formula))

    def around(self) -> Iterator[str]:
        """What an equation without steps comes from."""
        if self.equation.target in {e.target for e in self.page.gradients.backward}:
            yield from self.same_name()
        else:
            yield from self.origin()
            yield from self.returning()

    def titled(self, title: str, lines: Iterable[str]) -> Iterator[str]:
        yield ""
        yield self.style.heading(title)
        for line in lines:
            yield from textwrap.wrap(
                line,
                self.width,
                initial_indent="  ",
                subsequent_indent=" " * 6,
                break_long_words=False,
                break_on_hyphens=False,
            )

    def origin(self) -> Iterator[str]:
        """The formula that a forward equation comes from."""
        layer = self.subject.layers.get(self.equation.target)
        if layer is not None:
            yield from self.titled(f"From {layer.name}", _lines(layer.formula))

    def through(self) -> Iterator[str]:
        """The forward equations that a cotangent comes through."""
        known = self.group.gradients.numbers
        passed = {e for e, bar in self.group.through if bar == self.equation.target}
        through = [e for e in self.group.gradients.shown if e.target in passed & known.keys()]
        if through:
            yield ""
            yield self.style.heading("Comes through")
            yield from self.screen.equations(through)
            for e in through:
                layer = self.subject.layers.get(e.target)
                if layer is not None:
                    yield f"  ({known[e.target]}) is of {layer.name}"

    def as_another(self, chain: Chain, like: str) -> Iterator[str]:
        """Whose steps they are, where they are those of another equation."""
        if like:
            symbol = self.screen.notation.symbol
            yield (
                f"  ({self.number}) is derived as ({self.page.gradients.numbers[like]}) is, with "
                f"{symbol(self.equation.target)} in place of {symbol(like)}, and so on:"
            )
        if chain.equation.target != (like or self.equation.target):
            number = self.page.gradients.numbers[like] if like else self.number
            yield f"  ({number}) is derived as ({chain.number}) is:"

    def returning(self) -> Iterator[str]:
        """The cotangents that go back through a forward equation."""
        found = {bar for e, bar in self.group.through if e == self.equation.target}
        shown = [e for e in self.group.equations if e.target in found]
        if shown:
            yield ""
            yield self.style.heading("Cotangents that go back through it")
            yield from self.screen.equations(shown)

    def same_name(self) -> Iterator[str]:
        """The equation of the derivation for the same tensor, of which this is a variant."""
        known = self.page.gradients.numbers.get(self.equation.target)
        if known is not None and self.page is not self.group:
            yield from self.titled(f"In the derivation it is ({known})", ())
            yield from self.screen_of(self.page).equations([self.page.numbered[known]])


def _chain(group: Group, target: str) -> Chain | None:
    """The steps to a cotangent, or those to the one of another layer that is derived alike."""
    for chain in group.chains.chains:
        if target in (chain.equation.target, *chain.same.targets):
            return chain
    return None


def _lines(text: str) -> Sequence[str]:
    """The lines of a formula."""
    return [printable(line.strip()) for line in text.expandtabs().strip().split("\n")]
