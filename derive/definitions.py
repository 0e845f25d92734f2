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
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from typing import Any

from sympy import Expr, Symbol

from derive import constants, identities, size_expressions
from derive.definition import (
    GIVEN,
    Case,
    Definition,
    Fields,
    Formula,
    Initial,
    ParameterRule,
    Pattern,
)
from derive.functions import FUNCTIONS, Named, named
from derive.notation import DeriveError, Reduce, Tensor, accesses
from derive.toml_positions import SpecError, parse
from derive.toml_tables import NUMBER, STRING, Table, is_name, is_number, nearest

# In the order in which they are read: a layer may name an initializer and call an activation.
KEYS = {
    "initializer": ("formula", "constants"),
    "activation": ("formula", "parameters", "constants"),
    "layer": ("input", "inputs", "sizes", "parameters", "constants", "forward", "cases"),
    "loss": ("formula", "constants", "predict", "proba"),
    "optimizer": ("formula", "constants"),
}
CASE_KEYS = ("input", "inputs", "sizes", "parameters", "forward")
PARAMETER_KEYS = ("indices", "init", "when", "fan_in", "fan_out")

# Fields that every layer has; a definition's own names keep clear of them.
LAYER_FIELDS = ("type", "name", "inputs", "share", "activation")

LANGUAGE = FUNCTIONS | {"sigmoid": identities.sigmoid, "softplus": identities.softplus}

_PATTERN = re.compile(r"\s*([A-Za-z_]\w*)\s*\[\s*([^\[\]]*?)\s*\]\s*", re.ASCII)


@dataclass(frozen=True)
class Definitions:
    """All that a spec may name. Activations are layers too, so these share their names.

    `functions` is what a formula may call; `broken` are the keys of definitions with errors.
    """

    entries: Mapping[tuple[str, str], Definition] = field(default_factory=dict)
    functions: Mapping[str, Any] = field(default_factory=lambda: dict(LANGUAGE))
    broken: frozenset[tuple[str, str]] = frozenset()

    def find(self, kind: str, name: str) -> Definition | None:
        return self.entries.get((namespace(kind), name))

    def names(self, kind: str) -> tuple[str, ...]:
        return tuple(name for space, name in self.entries if space == namespace(kind))


def namespace(kind: str) -> str:
    return "layer" if kind == "activation" else kind


@cache
def library() -> Definitions:
    """The library that comes with the package."""
    known = Definitions()
    for kind in ("initializers", "activations", "layers", "losses", "optimizers"):
        file = files("derive") / "library" / f"{kind}.toml"
        document = parse(file.read_text(encoding="utf-8"), f"derive/library/{kind}.toml")
        errors: list[str] = []
        known = extended(known, Table(document, (), document.data, errors))
        if errors:
            raise SpecError(tuple(errors))
    return known


def functions() -> dict[str, Any]:
    """What a formula may call: the functions of the language and the elementwise activations."""
    return dict(library().functions)


def extended(known: Definitions, document: Table) -> Definitions:
    """What is known, and the definitions under `define` of a document; these take precedence."""
    table = document.table("define")
    if table is None:
        return known
    table.only(*KEYS)
    entries, functions = dict(known.entries), dict(known.functions)
    own: set[tuple[str, str]] = set()
    for kind in KEYS:
        group = table.table(kind)
        for name in group.data if group else ():
            assert group is not None
            key = (namespace(kind), name)
            if key in own:
                group.at_key(name, f"{name!r} is defined as a layer and as an activation")
            own.add(key)
            definition = _definition(kind, name, group, Definitions(entries, functions))
            if definition is None or not _reads(definition, document.errors):
                continue
            entries[key] = definition
            function = _as_function(definition)
            # exp, tanh, sigmoid ... of the language stay what they are, unless a user replaces one
            # that the library defines.
            if function is not None and (name not in functions or key in known.entries):
                functions[name] = function
    return Definitions(entries, functions, known.broken | (own - set(entries)))


def _definition(kind: str, name: str, group: Table, known: Definitions) -> Definition | None:
    table = group.table(name)
    if table is None:
        return None
    before = len(group.errors)
    if not is_name(name) or name == "input":
        group.at_key(name, f"{name!r} is no name for a definition")
    table.only(*KEYS[kind])
    constants = _constants(table)
    if "cases" in table.data:
        for key in CASE_KEYS:
            if key in table.data:
                table.at_key(key, f"with cases, {key} stands in each of them")
        tables = table.tables("cases")
        for case in tables:
            case.only(*CASE_KEYS)
    else:
        tables = [table]
    cases = [_case(kind, case, dict(constants), known) for case in tables]
    whole = tuple(case for case in cases if case is not None)
    if len(group.errors) > before or not whole:
        return None
    predict, proba = (
        _formula(table, key, table.optional(key, STRING, None)) for key in ("predict", "proba")
    )
    return Definition(kind, name, constants, whole, known.functions, predict, proba)


def _constants(table: Table) -> tuple[tuple[str, bool | int | float], ...]:
    group = table.table("constants")
    if group is None:
        return ()
    for name, value in group.data.items():
        if not is_name(name) or name in LAYER_FIELDS:
            group.at_key(name, f"{name!r} is no name for a constant")
        if not isinstance(value, bool) and not is_number(value):
            group.at_value(name, f"{name} must be a finite number, true or false")
    return tuple(group.data.items())


def _formula(table: Table, key: str, text: str | None) -> Formula | None:
    return None if text is None else Formula(text, table.document, (*table.path, key))


def _case(kind: str, table: Table, constants: Fields, known: Definitions) -> Case | None:
    key = "forward" if kind == "layer" else "formula"
    inputs = _patterns(table) if kind == "layer" else ()
    formula = _formula(table, key, table.required(key, STRING))
    sizes, group = _sizes(table), table.table("parameters")
    parameters = tuple(
        parameter
        for name in (group.data if group else ())
        if (parameter := _parameter(name, group, constants, known)) is not None
    )
    names = Counter([p.name for p in inputs] + [p.name for p in parameters] + [*constants])
    names.update(name for name in GIVEN[kind] if name != "learning_rate")
    for name, meanings in names.items():
        if name in known.functions or name == "pi":
            table.at_key(key, f"{name!r} is a function or a number of the language")
        elif meanings > 1:
            table.at_key(key, f"the name {name!r} has more than one meaning")
    return None if formula is None else Case(inputs, sizes, parameters, formula)


def _patterns(table: Table) -> tuple[Pattern, ...]:
    if "inputs" in table.data:
        key, texts = "inputs", table.data["inputs"]
        if "input" in table.data:
            table.at_key("input", "input and inputs exclude each other")
    else:
        key, texts = "input", [table.required("input", STRING)]
    if not isinstance(texts, list) or not texts:
        table.at_value(key, 'inputs must be a list such as ["q[n,t,d]", "k[n,s,d]"]')
        return ()
    patterns = [p for text in texts if text is not None and (p := _pattern(text))]
    if len(patterns) < len(texts) or len({p.name for p in patterns}) < len(patterns):
        if None not in texts:
            table.at_value(
                key, f'{key} must be a pattern such as "x[n,i]", the batch first, or "x[...,i]"'
            )
        return ()
    return tuple(patterns)


def _pattern(text: Any) -> Pattern | None:
    found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    indices = _indices(found[2])
    usable = indices and "..." not in indices[1:] and is_name(found[1])
    return Pattern(found[1], indices) if usable else None


def _indices(text: str) -> tuple[str, ...]:
    """The indices in `i,j`; none where they are no distinct names."""
    names = tuple(part.strip() for part in text.split(","))
    good = all((is_name(n) and n == n.lower()) or n == "..." for n in names)
    return names if good and len(set(names)) == len(names) else ()


def _sizes(table: Table) -> tuple[tuple[str, str], ...]:
    sizes = table.table("sizes")
    if sizes is None:
        return ()
    found = []
    for index, text in sizes.data.items():
        text = str(text) if isinstance(text, int) and not isinstance(text, bool) else text
        if not _indices(index):
            sizes.at_key(index, f"{index!r} is no name of an index (lower case)")
        elif not isinstance(text, str):
            sizes.at_value(index, f'{index} must be an expression such as "units"')
        else:
            _check_size(sizes, index, text)
            found.append((index, text))
    return tuple(found)


def _check_size(table: Table, key: str, text: str) -> None:
    try:
        for name in sorted(size_expressions.names(text) & set(LAYER_FIELDS)):
            table.at_value(key, f"{name!r} is a field that every layer has, and no size")
    except DeriveError as error:
        table.at_value(key, str(error))


def _parameter(
    name: str, group: Table | None, constants: Fields, known: Definitions
) -> ParameterRule | None:
    table = group.table(name) if group else None
    if table is None or group is None:
        return None
    if not is_name(name):
        group.at_key(name, f"{name!r} is no name for a parameter")
    table.only(*PARAMETER_KEYS)
    indices = _indices(text) if (text := table.required("indices", STRING)) else ()
    if text is not None and (not indices or "..." in indices):
        table.at_value("indices", 'indices must be distinct names such as "i,j"')
    when = table.optional("when", STRING, "")
    if when and not isinstance(constants.get(when), bool):
        table.at_value("when", f"when must name a constant that is true or false, not {when!r}")
    fan_in, fan_out = (table.optional(key, STRING, "") for key in ("fan_in", "fan_out"))
    for key, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
        if fan:
            _check_size(table, key, fan)
    return ParameterRule(name, indices, _initial(table, known), when, fan_in, fan_out)


def _initial(table: Table, known: Definitions) -> Initial:
    """`init = 0.25`, `init = "zeros"` or `init = { type = "normal", std = 0.02 }`."""
    value = table.data.get("init", "zeros")
    if is_number(value):
        return Initial("constant", (("value", float(value)),))
    if isinstance(value, str):
        name, fields = value, {}
    else:
        given = table.table("init")
        if given is None:
            return Initial("zeros")
        name = given.required("type", STRING) or "zeros"
        fields = {k: given.optional(k, NUMBER, 0.0) for k in given.data if k != "type"}
    definition = known.find("initializer", name)
    if definition is None:
        names = known.names("initializer")
        table.at_value(
            "init", f"unknown initializer {name!r}; the nearest is {nearest(name, names)!r}"
        )
        return Initial("zeros")
    for key in fields:
        if key not in dict(definition.constants):
            table.at_value("init", f"initializer {name!r} has no field {key!r}")
    return Initial(name, tuple(fields.items()))


def _reads(definition: Definition, errors: list[str]) -> bool:
    """Whether every formula can be read; what is wrong shows even where nothing uses it."""
    before = len(errors)
    fields = dict.fromkeys(definition.required, 1) | dict(definition.constants)
    readings = [partial(definition.program, case, fields) for case in definition.cases]
    readings += [
        partial(definition.answer, formula, fields)
        for formula in (definition.predict, definition.proba)
        if formula is not None
    ]
    for reading in readings:
        try:
            program = reading()
        except SpecError as error:
            errors += error.messages
            continue
        formula = definition.cases[0].formula
        if definition.kind == "optimizer" and any(e.body.has(Reduce) for e in program.equations):
            message = "an optimizer acts on each element by itself, without sum, mean, max ..."
            errors.append(formula.document.at_value(formula.path, message))
        found = {str(Tensor(e.target, e.indices)) for e in program.equations}
        needed = {"initializer": {"w[...]"}, "optimizer": {"w_next[...]"}}.get(
            definition.kind, set()
        )
        needed |= {f"{s}_next[...]" for s in definition.states if definition.kind == "optimizer"}
        if needed - found:
            message = f"the formula must compute {min(needed - found)}"
            errors.append(formula.document.at_value(formula.path, message))
    return len(errors) == before


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
