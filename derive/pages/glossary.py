"""What a page explains before and after its equations: symbols, indices, functions, identities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from sympy import Expr, S, Symbol, Tuple, exp, log
from sympy.core.function import Function

from derive.gradients.calculus import contribution
from derive.gradients.derivation import Gradients
from derive.gradients.identities import (
    COROLLARIES,
    IN_CODE,
    INDEXED,
    REFLECTIONS,
    REWRITINGS,
    Identity,
)
from derive.language.functions import Named
from derive.language.notation import (
    ELLIPSIS,
    Access,
    Equation,
    Index,
    Partial,
    Program,
    Reduce,
    accesses,
)
from derive.pages.chains import Chains
from derive.pages.document import Display, Prose, Row, Section, Table
from derive.pages.kinks import kinks as conventions
from derive.pages.latex_rows import access_latex, enumerated, stacked
from derive.printing.latex_layout import endless
from derive.printing.latex_names import Names
from derive.printing.latex_printer import expression_latex
from derive.printing.likewise import Likewise, alike

COUNTED = 60  # nodes of a number of operations that is stated

# What signs mean, of those that are on the page.
_SIGNS = (
    (r"\mathbf{1}", r"$\mathbf{1}$ is the column of ones."),
    (r"\odot", r"$\odot$ is the product element by element."),
    (r"\oslash", r"$\oslash$ is the quotient element by element."),
    (r"onehot", r"Row $n$ of $\operatorname{onehot}(y)$ is $1$ at $y_n$, else $0$."),
    (r"[\,", r"$[\,c\,]$ is $1$ where the condition $c$ holds, else $0$."),
    (r"\delta_", r"$\delta_{ij}$ is $1$ where $i = j$, else $0$."),
    (
        r"\big|_",
        r"$\bar{x}\big|_{(k)}$ is what the use of $x$ in equation $(k)$ adds to $\bar{x}$.",
    ),
)


def notation(chains: Chains, body: Iterable[Section]) -> Section:
    """What a cotangent is here, and what the signs mean that the sections of the body use."""
    gradients = chains.gradients
    operands = [f"${chains.names(t).indexed()}$" for t in gradients.cotangents]
    words = (
        f"Subscripts are indices, each from $0$ to its size less $1$.{_starts(chains)}"
        f"{_superscripts(chains)} "
        "The *cotangent* $\\bar{x}$ of a tensor $x$ has the "
        f"shape of $x$: each of its elements is the derivative of {_result(chains)} by that "
        f"element of $x$. It is derived here for {_several(operands)}."
    )
    written = "\n".join(_mathematics(body))
    return Section("Notation", (" ".join((words, *_conventions(gradients, written))),))


def _starts(chains: Chains) -> Prose:
    """What stands beside a recurrence."""
    if all(e.recurrence is None for e in chains.gradients.shown):
        return ""
    return " Beside a recurrence stands what it begins with, at the index before the first step."


def _superscripts(chains: Chains) -> Prose:
    """What the number above a symbol is, by an example."""
    for e in chains.gradients.shown:
        name = chains.names(e.target)
        if re.fullmatch(r"\(\d+\)", name.above):
            shown = f"${name.indexed()}$ is `{e.target}`"
            return f" A superscript in parentheses is a part of the name: {shown}."
    return ""


def symbols(chains: Chains, public: Mapping[str, str]) -> Section:
    """The indices with their sizes, the tensors with their shapes."""
    indices = Table(("index", "size"), tuple(_index_rows(chains)))
    tensors = Table(("symbol", "name", "shape", ""), tuple(_symbol_rows(chains, public)))
    return Section("Symbols", (indices, tensors))


def _mathematics(sections: Iterable[Section]) -> Iterator[str]:
    """The LaTeX of all rows."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Display):
                yield from (
                    part for line in block.lines for row in line for part in (row.left, row.right)
                )
        yield from _mathematics(section.parts)


def _result(chains: Chains) -> Prose:
    """What is differentiated, in words."""
    forward = chains.gradients.forward
    target = (forward.results or (forward.result,))[0]
    symbol = chains.names(target).indexed()
    if forward.equation(target).indices:
        return rf"the sum of ${symbol}$, each element weighted,"
    return f"the result, ${symbol}$,"


def _conventions(gradients: Gradients, written: str) -> Iterator[Prose]:
    if any(sign_ in written for sign_ in (r"\top", r"\odot", r"\mathbf{1}")):
        yield "In matrix forms vectors are columns, and functions act element by element."
    yield from (meaning for sign_, meaning in _SIGNS if sign_ in written)
    match gradients.suffix:
        case "_hessian":
            yield r"$x^{\mathrm{hessian}}_{ij}$ is the derivative of $\bar{x}_i$ by $x_j$."
        case "_jacobian":
            yield r"$x^{\mathrm{jacobian}}_{ij}$ is the derivative of the result at $i$ by $x_j$."
        case "_hvp":
            yield r"$x^{\mathrm{hvp}}$ is the Hessian of the result by $x$, times the direction."
    started = {e.target for e in gradients.shown if e.recurrence}
    read = [
        i
        for e in gradients.shown
        for a in accesses(e.body)
        if a.tensor not in started
        for i in a.indices
    ]
    if any(not isinstance(i, Index | Access) and i.has(Index) for i in read):
        yield "A term of a sum in which an index leaves its range is left out."


# Tables.


def _index_rows(chains: Chains) -> Iterator[tuple[Prose, ...]]:
    """The indices of each size."""
    forward, names = chains.gradients.forward, chains.names
    axes = [i for t in forward.inputs for i in t.axes]
    equations = chains.gradients.shown
    bound = [i for e in equations for r in e.body.atoms(Reduce) for i in r.bound]
    given = dict(forward.sizes)
    ranges: dict[str, list[Index]] = {}
    for i in dict.fromkeys((*axes, *(i for e in equations for i in e.indices), *bound)):
        size = expression_latex(i.size, names)
        if isinstance(i.size, Symbol) and i.size in given and i.name != ELLIPSIS:
            size += f" = {expression_latex(given[i.size], names)}"
        ranges.setdefault(size, []).append(i)
    for size, group in ranges.items():
        shown = dict.fromkeys(f"${expression_latex(i, names)}$" for i in group)
        yield enumerated(list(shown)), f"${size}$"


def _symbol_rows(chains: Chains, public: Mapping[str, str]) -> Iterator[tuple[Prose, ...]]:
    """The tensors, each as an equation whose body is its role."""
    gradients = chains.gradients
    own = {e.target for e in gradients.backward}
    tensors = []
    for t in gradients.forward.inputs:
        role = "input, integers" if t.kind == "integer" else "input"
        if t.name in gradients.cotangents:
            role = "parameter" if t.name in public else "operand"
        tensors.append(Equation(t.name, t.axes, Symbol(role)))
    shown = [e for e in gradients.shown if e.target not in own]
    tensors += [replace(e, body=Symbol("computed")) for e in shown]
    for e, same in alike(tensors, lambda e: (e, _shape(e))):
        names = [f"`{public.get(t, t)}`" for t in (e.target, *same.targets)]
        yield _symbol_row(chains, e, same, _several(names))


def _shape(e: Equation) -> Equation:
    """What a row says besides: how long the axes are."""
    return Equation("shape", (), Tuple(*(i.size for i in e.indices)))


def _symbol_row(chains: Chains, e: Equation, same: Likewise, name: Prose) -> tuple[Prose, ...]:
    symbol = access_latex(e, chains.names)
    if same.others:
        symbol = symbol.replace(f"({same.layer})", r"(\ell)", 1)
        layers = enumerated([f"${k}$" for k in (same.layer, *same.others)])
        symbol = rf"${symbol}$, $\ell =$ {layers}"
    else:
        symbol = f"${symbol}$"
    shape = r" \times ".join(expression_latex(i.size, chains.names) for i in e.indices)
    return symbol, name, f"${shape}$" if shape else "scalar", str(e.body)


def _several(items: Sequence[Prose]) -> Prose:
    """All of some, of many the first and the last."""
    return ", ".join(items if len(items) <= 12 else [items[0], items[1], r"$\ldots$", items[-1]])


# Functions, kinks, identities.


def functions(chains: Chains, others: Iterable[Equation]) -> Iterator[Section]:
    """What the functions are that have a formula of their own."""
    gradients = chains.gradients
    found: dict[type[Named], None] = {}
    reductions = set()
    for e in (*gradients.shown, *(s.after for s in gradients.steps), *others):
        parts = e.body.atoms(Named, Reduce)
        named = {type(f) for f in parts if isinstance(f, Named)}
        found |= dict.fromkeys(sorted(named, key=lambda c: c.__name__))
        reductions |= {r.op for r in parts if isinstance(r, Reduce)}
    stated: list[tuple[Expr, Expr]] = [(f(*f.parameters), f.formula) for f in found]
    if "logsumexp" in reductions:
        k = Index("k")
        z = Access("z", k)
        l = Equation("l", (), Reduce("logsumexp", z, (k,)))
        stated.append((l.body, log(Reduce("sum", exp(z), (k,)))))
        j = k.renamed("j")
        derived = contribution(l, z, S.One, Access("z_bar", j), {}, {"j", "k"}).body
        stated.append((Partial(l.body, Access("z", j)), derived.xreplace({l.access: l.body})))
    rows = [_stated(left, right, chains) for left, right in stated]
    if rows:
        yield Section("Functions", (stacked(rows),))


def _stated(left: Expr, right: Expr, chains: Chains) -> Row:
    return Row(expression_latex(left, chains.names), expression_latex(right, chains.names))


def kinks(forward: Program) -> Iterator[Section]:
    """The conventions in force where a derivative does not exist."""
    found = tuple(kink.prose for kink in conventions(forward))
    if found:
        yield Section("Conventions at kinks", found)


def rules(*derivations: Chains) -> dict[str, None]:
    """The rules that the chains name, in order."""
    lines = (line for chains in derivations for chain in chains.chains for line in chain.lines)
    return dict.fromkeys(rule for line in lines for rule in line.rule.split(", "))


_STATEMENTS = COROLLARIES + REWRITINGS + REFLECTIONS + IN_CODE + INDEXED


def _stated_for(name: str, derivations: Iterable[Chains]) -> Sequence[Identity]:
    """Of the identities of a name those that may have been used: their functions were there."""
    stated = [i for i in _STATEMENTS if i.name == name]
    lines = (line for chains in derivations for chain in chains.chains for line in chain.lines)
    steps = [s for line in lines if (s := line.step) and name in s.rule.split(", ")]
    used = [
        i
        for i in stated
        for s in steps
        if _functions(i.left) <= _functions(s.before.body)
        and _functions(i.right) <= _functions(s.after.body)
    ]
    return list(dict.fromkeys(used)) or stated[:1]


def _functions(e: Expr) -> set[object]:
    """The functions and reductions of an expression."""
    return {r.op for r in e.atoms(Reduce)} | {f.func for f in e.atoms(Function)}


def identities(chains: Chains, beside: Sequence[Chains] = ()) -> Iterator[Section]:
    """The identities that were used, each with what it says."""
    rows = []
    for name in rules(chains, *beside):
        for k, identity in enumerate(_stated_for(name, (chains, *beside))):
            row = _stated(identity.left, identity.right, chains)
            rows.append(replace(row, rule="" if k else name))
    if rows:
        yield Section("Identities used", (Display(tuple((row,) for row in rows), ruled=True),))


def cost(operations: Mapping[str, Expr]) -> Iterator[Section]:
    """How many operations each function of a module takes, at any sizes."""
    takes = [
        f"`{name}` takes ${expression_latex(count, Names())}$ floating-point operations."
        for name, count in operations.items()
        if not endless(count, COUNTED)
    ]
    if takes:
        yield Section("Cost", (" ".join(takes),))
