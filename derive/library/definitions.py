"""The library, and the definitions of users: read from TOML by the same code, and checked.

    [define.layer.dense]
    input = "x[...,i]"
    sizes = { j = "units" }
    parameters.W = { indices = "i,j", init = "glorot_uniform" }
    parameters.b = { indices = "j", init = "zeros", when = "bias" }
    constants = { bias = true }
    forward = "z[...,j] = sum[i](x[...,i] * W[i,j]) + b[j]"

The keys below are all there are: none could hold a backward formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from typing import Any

from sympy import Expr, Symbol

from derive.language import constants
from derive.language.functions import Named, named
from derive.language.notation import Program, Reduce, Tensor, accesses
from derive.library import cases, fields
from derive.library.bindings import nominal
from derive.library.catalogue import Definitions, namespace
from derive.library.definition import Case, Definition, FieldRule, Formula
from derive.library.fields import Declared
from derive.library.toml_positions import SpecError, parse
from derive.library.toml_tables import BOOLEAN, STRING, Table, is_name

FIELD_KEYS = ("constants", "pairs", "choices", "lists")
CASE_KEYS = (
    *("when", "input", "inputs", "sizes", "numbers", "ranks", "require"),
    *("parameters", "draws", "state", "forward", "inference", "layers"),
)
LOSS_CASE_KEYS = ("when", "formula", "numbers", "require")
INITIALIZER_CASE_KEYS = ("when", "formula")
_CASE_KEYS = {"loss": LOSS_CASE_KEYS, "initializer": INITIALIZER_CASE_KEYS}
# In the order in which they are read: a layer may name an initializer and call an activation.
KEYS = {
    "initializer": ("formula", "constants", "cases"),
    "activation": ("formula", "parameters", "constants"),
    "layer": (*FIELD_KEYS, *CASE_KEYS[1:], "associative", "cases"),
    "loss": (*FIELD_KEYS, *LOSS_CASE_KEYS[1:], "predict", "proba", "cases"),
    "optimizer": ("formula", "constants"),
}

# What formulas can call comes first: it is read even where no network is.
FIRST = ("initializers", "activations")
FILES = (
    *("shapes", "layers", "convolution", "pooling", "normalization", "randomness"),
    *("recurrence", "sequence", "losses", "optimizers"),
)


@cache
def library() -> Definitions:
    """The library that comes with the package."""
    return _with_files(_first(), FILES)


@cache
def _first() -> Definitions:
    return _with_files(Definitions(), FIRST)


def functions() -> dict[str, Any]:
    """What a formula may call: the functions of the language and the elementwise activations."""
    return dict(_first().functions)


def _with_files(known: Definitions, names: tuple[str, ...]) -> Definitions:
    for name in names:
        file = files("derive") / "library" / f"{name}.toml"
        document = parse(file.read_text(encoding="utf-8"), f"derive/library/{name}.toml")
        errors: list[str] = []
        known = _with(known, Table(document, (), document.data, errors), _unread)
        if errors:
            raise SpecError(tuple(errors))
    return known


def extended(known: Definitions, document: Table) -> Definitions:
    """What is known, and the definitions under `define` of a document; these take precedence."""
    return _with(known, document, _reads)


def _with(
    known: Definitions, document: Table, accepts: Callable[[Definition, list[str]], bool]
) -> Definitions:
    """As `extended`; of each definition `accepts` says whether it may be used."""
    table = document.table("define")
    if table is None:
        return known
    table.only(*KEYS)
    entries, functions = dict(known.entries), dict(known.functions)
    own: set[tuple[str, str]] = set()
    broken: set[tuple[str, str]] = set(known.broken)
    for kind in KEYS:
        group = table.table(kind)
        waiting = dict.fromkeys(group.data if group else ())
        for name in tuple(waiting):
            assert group is not None
            key = (namespace(kind), name)
            if key in own:
                group.at_key(name, f"{name!r} is defined as a layer and as an activation")
            own.add(key)
            before = Definitions(entries, functions, frozenset(broken))
            definition = _definition(kind, name, group, before, frozenset(waiting))
            del waiting[name]
            if definition is None or not accepts(definition, document.errors):
                broken.add(key)
                continue
            entries[key] = definition
            function = _as_function(definition)
            # exp, tanh, sigmoid ... of the language stay what they are, unless a user replaces one
            # that the library defines.
            if function is not None and (name not in functions or key in known.entries):
                functions[name] = function
    return Definitions(entries, functions, frozenset(broken))


def _definition(
    kind: str, name: str, group: Table, known: Definitions, waiting: frozenset[str]
) -> Definition | None:
    table = group.table(name)
    if table is None:
        return None
    before = len(group.errors)
    if not is_name(name) or name == "input":
        group.at_key(name, f"{name!r} is no name for a definition")
    table.only(*KEYS[kind])
    declared = fields.declared(table)
    read = [
        cases.read(cases.Place(kind, name, part, table, declared, known, waiting))
        for part in _parts(kind, table)
    ]
    whole = tuple(case for case in read if case is not None)
    if len(group.errors) > before or not whole:
        return None
    rules = _fields(kind, table, declared, whole)
    predict, proba = (
        Formula(text, table.document, (*table.path, key))
        if (text := table.optional(key, STRING, None))
        else None
        for key in ("predict", "proba")
    )
    associative = table.optional("associative", BOOLEAN, False)
    if associative and any(len(case.inputs) != 2 for case in whole):
        table.at_key("associative", "an associative layer has two inputs in its formula")
    if len(group.errors) > before:
        return None
    return Definition(
        kind, name, rules, whole, known.functions, declared.pairs, predict, proba, associative
    )


def _parts(kind: str, table: Table) -> list[Table]:
    """The cases of a definition, or the definition itself as the only one."""
    if "cases" not in table.data:
        return [table]
    tables = table.tables("cases")
    for case in tables:
        case.only(*_CASE_KEYS.get(kind, CASE_KEYS))
    return tables


def _fields(
    kind: str, table: Table, declared: Declared, whole: tuple[Case, ...]
) -> tuple[FieldRule, ...]:
    read: dict[str, None] = {}
    orders: set[str] = set()
    shapes: set[str] = set()
    for case in whole:
        read |= cases.read_names(case)
        shapes |= {text for index, text in case.sizes if index.startswith("*")}
        for name in declared.lists:
            pattern = rf"\*\s*\w+\s*\[\s*{name}\s*\]"
            orders |= {name} if re.search(pattern, case.formula.text) else set()
    layers = [layer for case in whole for layer in case.layers]
    passed = {n: k for n, k in fields.passed(layers).items() if n in read}
    return fields.rules(table, kind, declared, read, passed, orders, shapes)


def _unread(_definition: Definition, _errors: list[str]) -> bool:
    """A formula of the library is read where it is used; that all can be read is for the tests."""
    return True


def _reads(definition: Definition, errors: list[str]) -> bool:
    """Whether every formula can be read; what is wrong shows even where nothing uses it."""
    before = len(errors)
    for case in definition.cases:
        if not case.layers:
            _read_case(definition, case, errors)
    (first, *_) = definition.cases
    for formula in (definition.predict, definition.proba):
        if formula is not None:
            _read(partial(definition.answer, formula, nominal(definition, first)), errors)
    return len(errors) == before


def _read(reading: partial[Program], errors: list[str]) -> Program | None:
    try:
        return reading()
    except SpecError as error:
        errors += error.messages
    return None


def _read_case(definition: Definition, case: Case, errors: list[str]) -> None:
    formula, binding = case.formula, nominal(definition, case)
    if case.inference is not None:
        _read(partial(definition.program, case, binding, case.inference), errors)
    elif case.draws:
        message = "a layer with draws needs an inference formula"
        errors.append(formula.document.at_value(formula.path, message))
    program = _read(partial(definition.program, case, binding), errors)
    if program is None:
        return
    if definition.kind == "optimizer" and any(e.body.has(Reduce) for e in program.equations):
        message = "an optimizer acts on each element by itself, without sum, mean, max ..."
        errors.append(formula.document.at_value(formula.path, message))
    if definition.kind == "initializer" and definition.required:
        message = f"nothing says what {definition.required[0]} is"
        errors.append(formula.document.at_value(formula.path, message))
    missing = _needed(definition, case) - {
        str(Tensor(e.target, e.indices)) for e in program.equations
    }
    if missing:
        message = f"the formula must compute {min(missing)}"
        errors.append(formula.document.at_value(formula.path, message))


def _needed(definition: Definition, case: Case) -> set[str]:
    """What the formula of a definition has to compute."""
    binding = nominal(definition, case)
    if definition.kind == "optimizer":
        return {"w_next[...]", *(f"{s}_next[...]" for s in definition.states)}
    if definition.kind == "initializer":
        return {f"w[{','.join(case.formula.matrix or ('...',))}]"}
    return {f"{s.name}_next[{','.join(binding.expanded(s.indices))}]" for s in case.states}


def _as_function(definition: Definition) -> type[Named] | None:
    """`a[...] = f(x[...])  ->  f(x, slope=0.01)`; None for what is not elementwise.

    Intermediate lines are put into the last one. A parameter becomes an argument too, its default
    what it is initially.
    """
    if definition.kind != "activation":
        return None
    (case,) = definition.cases
    defaults = {name: constants.number(value) for name, value in definition.constants}
    for parameter in case.parameters:
        if parameter.initial.name != "constant":
            return None
        defaults[parameter.name] = constants.number(
            dict(parameter.initial.fields).get("value", 0.0)
        )
    symbols = {name: Symbol(name, real=True) for name in ("x", *defaults)}
    values: dict[str, Expr] = dict(symbols)
    for equation in definition.symbolic().equations:
        if equation.body.has(Reduce):
            return None
        parts = {}
        for access in accesses(equation.body):
            if access.tensor not in defaults and access.indices != equation.indices:
                return None
            parts[access] = values[access.tensor]
        values[equation.target] = equation.body.xreplace(parts)
    body = values[equation.target]
    if not body.free_symbols <= set(symbols.values()):
        return None  # it reads an index or a size
    return named(definition.name, tuple(symbols.values()), body, tuple(defaults.values()))
