"""The chains of steps as sections of a document: index form, rule by rule, then the matrix form.

W_bar, through (3)    chain rule        W_ij = ...       (7.1)
                      local derivative       = ...       (7.2)
                      Kronecker delta        = ...       (7)
                      matrix form       W = X^T Z
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from derive.language.notation import Index
from derive.pages.chains import Chain, Chains, Line, Use
from derive.pages.document import Block, Display, Prose, Row, Section
from derive.pages.latex_rows import (
    EMPTY,
    TAG,
    access_latex,
    broken,
    initial_row,
    likewise,
    matrix_row,
)
from derive.pages.reasons import prose, reason
from derive.printing.latex_layout import LINE
from derive.printing.latex_printer import expression_latex

LABEL = 112.0  # the column of rule names, in points


def sections(chains: Chains) -> tuple[Section, ...]:
    """One section for each cotangent, in the order of evaluation."""
    return tuple(_section(chain, chains) for chain in chains.chains)


def _section(chain: Chain, chains: Chains) -> Section:
    names, numbers = chains.names, chains.gradients.numbers
    left = access_latex(chain.equation, names)
    several = len(chain.uses) > 1
    parts: list[tuple[Prose, list[Row]]] = []
    for use in chain.uses:
        order = use.through.indices
        shown = rf"{left}\big|_{{{_short(use, chains)}}}" if several else left
        parts.append((_words(use, chains), list(_rows(shown, use.lines, chains, order))))
    if len(chain.uses) == 1:
        parts[0][1].extend(_rows("", chain.rewritings, chains))
    else:
        words = "all uses together" if chain.uses else ""
        parts.append((words, list(_rows(left, chain.rewritings, chains))))
    rows = parts[-1][1]
    also = tuple(str(numbers[t]) for t in chain.same.targets if t in numbers)
    rows[-1] = replace(rows[-1], also=also)
    room = LINE - LABEL - TAG
    extra = (
        initial_row(chain.equation, names, "start value"),
        matrix_row(chain.equation, names, room, "matrix form"),
    )
    rows += [row for row in extra if row != EMPTY]
    aside = "" if chain.equation.target in numbers else " (written out where it is read)"
    heading = f"Cotangent ${names(chain.equation.target).indexed()}${aside}"
    if not several and parts[0][0]:
        heading += f", {parts[0][0]}"
    blocks: list[Block] = []
    for words, rows in parts:
        blocks += [words] if words and several else []
        blocks.append(Display(tuple((row,) for row in rows), ruled=True))
    blocks += [likewise(chain.same, numbers)] if chain.same.others else []
    return Section(heading, tuple(blocks))


def _rows(
    left: str, lines: Iterable[Line], chains: Chains, inner: tuple[Index, ...] = ()
) -> Iterator[Row]:
    known = chains.known
    for line in lines:
        why = prose(reason(line.step, known), chains.names, inner) if line.step else ""
        row = Row(left, rule=line.rule, number=line.number, note=why)
        yield from broken(line.equation, row, chains.names, LINE - LABEL - TAG, inner)
        left = ""


def _short(use: Use, chains: Chains) -> str:
    """The use in a subscript."""
    return f"({use.number})" if use.number else chains.names(use.through.target).indexed()


def _words(use: Use, chains: Chains) -> Prose:
    """The equation that a use stands in, in words."""
    if use.number:
        return f"through {use.part}(#{use.number})"
    e = use.through
    right = expression_latex(e.body, chains.names, e.indices)
    return f"through ${access_latex(e, chains.names)} = {right}$"
