"""The definitions that are known at one point: those of the library, then those of a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from derive.gradients import identities
from derive.language.functions import FUNCTIONS
from derive.library.definition import Definition
from derive.library.toml_tables import Table, nearest

LANGUAGE = FUNCTIONS | {"sigmoid": identities.sigmoid, "softplus": identities.softplus}


def namespace(kind: str) -> str:
    """Activations are layers too, so these share their names."""
    return "layer" if kind == "activation" else kind


@dataclass(frozen=True)
class Definitions:
    """All that a spec may name.

    `functions` is what a formula may call; `broken` are the keys of definitions with errors.
    """

    entries: Mapping[tuple[str, str], Definition] = field(default_factory=dict)
    functions: Mapping[str, Any] = field(default_factory=lambda: dict(LANGUAGE))
    broken: frozenset[tuple[str, str]] = frozenset()

    def find(self, kind: str, name: str) -> Definition | None:
        return self.entries.get((namespace(kind), name))

    def names(self, kind: str) -> tuple[str, ...]:
        return tuple(name for space, name in self.entries if space == namespace(kind))

    def named(self, table: Table, key: str, kind: str, name: str) -> Definition | None:
        """What a key of a table names; None after a complaint, and for what is broken."""
        definition = self.find(kind, name)
        if definition is None and (namespace(kind), name) not in self.broken:
            near = nearest(name, self.names(kind))
            table.at_value(key, f"unknown {kind} {name!r}; the nearest is {near!r}")
        return definition
