"""Broken backward passes of layers must be noticed, as `test_mutations` has it of formulas.

Memory is full of nan before it is written, so that what a mutant leaves out is not there from
before. `python tests/test_layer_mutations.py` prints how many are noticed.
"""

import ast
import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from library_accuracy import WEIGHTED
from mutations import function, further, mutants
from networks import source

from derive.checks import compare
from derive.modules.loading import load

FAILS = (ValueError, TypeError, IndexError, FloatingPointError, AttributeError, KeyError)


def network(shape, *layers, given=""):
    body = "".join(f"[[layers]]\n{layer}\n" for layer in layers)
    return f'name = "net"\ndtype = "float64"\n[input]\nshape = {shape}\n{given}{body}{WEIGHTED}'


NETWORKS = {
    "conv2d": network(
        [5, 4, 1], 'type = "conv2d"\nfilters = 2\nkernel_size = 3\nstride = 2\npadding = "same"'
    ),
    "max_pool2d": network(
        [4, 4, 2], 'type = "dense"\nunits = 2', 'type = "max_pool2d"\npool_size = 2\npadding = 1'
    ),
    "batch_norm": network(
        [2, 2], 'type = "dense"\nunits = 2', 'type = "batch_norm"', 'type = "tanh"'
    ),
    "layer_norm": network([3], 'type = "dense"\nunits = 4', 'type = "layer_norm"', 'type = "gelu"'),
    "lstm": network([3, 2], 'type = "lstm"\nunits = 2'),
    "attention": network(
        [3, 2],
        *(f'type = "dense"\nname = "{n}"\nunits = 2\ninputs = ["input"]' for n in "abc"),
        'type = "attention"\ncausal = true\ninputs = ["a", "b", "c"]',
    ),
    "embedding": network(
        [3],
        'type = "embedding"\nvocabulary = 4\ndim = 2',
        'type = "positional_embedding"\nlength = 3',
        'type = "dense"\nunits = 2\nactivation = "sigmoid"',
        given='dtype = "int64"\nvocabulary = 4\n',
    ),
}


def empty(shape, dtype=float, **_):
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 0, dtype)


class Subject:
    """A network at one point, its value remembered where it was asked for before."""

    def __init__(self, text):
        self.text = source(text)
        self.net, self.broken = (load(self.text, n) for n in ("right", "broken"))
        self.broken.np = SimpleNamespace(**{**vars(np), "empty": empty})
        rng = np.random.default_rng(0)
        self.params = {n: rng.normal(size=a.shape) for n, a in self.net.init(0).items()}
        self.x, self.y = (self.drawn(given, rng) for given in (self.net.INPUT, self.net.TARGET))
        self.known = {}
        self.right = self.gradients(self.net)

    def drawn(self, given, rng):
        shape = tuple(2 if isinstance(axis, str) else axis for axis in given["axes"])
        return rng.integers(0, given["below"], shape) if given["below"] else rng.normal(size=shape)

    def gradients(self, module):
        """What a module computes; None where it fails, which is noticed as well."""
        with np.errstate(all="ignore"):
            try:
                found = dict(module.value_and_grad(self.params, self.x, self.y)[1])
                if self.x.dtype.kind == "f":
                    found["x"] = module.input_grad(self.params, self.x, self.y)
            except FAILS:
                return None
        return found

    def value(self, at):
        key = tuple(a.tobytes() for a in at.values())
        if key not in self.known:
            params = {n: at[n] for n in self.params}
            self.known[key] = self.net.value_and_grad(params, at["x"], self.y)[0]
        return self.known[key]

    def is_noticed(self, found):
        at = {**self.params, "x": self.x}
        wrt = [n for n in self.right if n in self.net.PARAMETERS or n == "x"]
        return not compare(self.value, found, at, wrt).ok

    def changes_nothing(self, found):
        return all(
            np.shape(found[k]) == g.shape
            and np.max(np.abs(found[k] - g), initial=0.0) <= 1e-12 * np.max(np.abs(g), initial=1.0)
            for k, g in self.right.items()
        )

    def mutants(self):
        """Each change of the backward passes, the broken module holding it for as long."""
        for name in ("loss_backward", "backward_pass", "input_pass"):
            if not hasattr(self.broken, name):
                continue
            body = function(self.text, name)
            before = getattr(self.broken, name)
            for change in itertools.chain(mutants(body), further(body)):
                try:
                    # The tree lives on, so a copy of it is compiled.
                    exec(compile(ast.unparse(body), name, "exec"), vars(self.broken))
                except SyntaxError:
                    continue
                yield f"{name}, {change}"
            setattr(self.broken, name, before)

    def tried(self):
        """The mutants that are noticed, those that change nothing, the others."""
        noticed, same, unnoticed = [], [], []
        for change in self.mutants():
            found = self.gradients(self.broken)
            if found is None:
                noticed.append(change)
            elif self.changes_nothing(found):
                same.append(change)
            else:
                (noticed if self.is_noticed(found) else unnoticed).append(change)
        return noticed, same, unnoticed


@pytest.mark.parametrize("name", NETWORKS)
def test_every_mutant_of_a_layer_is_noticed(name):
    subject = Subject(NETWORKS[name])
    assert subject.changes_nothing(subject.gradients(subject.broken))
    assert not subject.is_noticed(subject.right)
    noticed, _, unnoticed = subject.tried()
    assert len(noticed) >= 15
    assert unnoticed == []


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        noticed, same, unnoticed = Subject(NETWORKS[name]).tried()
        print(
            f"{name}: {len(noticed)} noticed, {len(unnoticed)} not; {len(same)} of no effect",
            *(f"NOT NOTICED {change}" for change in unnoticed),
            *(f"    {change}" for change in same),
            sep="\n    ",
            flush=True,
        )
