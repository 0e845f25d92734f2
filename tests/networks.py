"""Networks for the tests: compiled from the text of a spec, once for all tests."""

import functools
import tempfile
from pathlib import Path

from derive import pipeline
from derive.modules.loading import load

TINY = """
name = "tiny"
[input]
shape = [4]
[[layers]]
type = "dense"
units = 5
activation = "tanh"
[[layers]]
type = "dense"
units = 3
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "adam"
learning_rate = 0.01
[training]
epochs = 3
batch_size = 8
"""


@functools.lru_cache(maxsize=8)
def derived(text):
    """What a spec leads to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.toml"
        path.write_text(text)
        return pipeline.derive_network(path)


@functools.cache
def files(text):
    """The files of a spec, name to text."""
    return derived(text).files()


@functools.cache
def source(text):
    """The text of a spec's module; its pages are not made."""
    return derived(text).source()


ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted((ROOT / "specs").glob("*.toml"))


@functools.cache
def committed(path):
    """What a spec of the repository leads to."""
    return pipeline.derive_network(path)


@functools.cache
def committed_files(path):
    """Its files, name to text."""
    return committed(path).files()


@functools.cache
def compiled(text):
    """The module of a spec, loaded."""
    return load(source(text), "network_under_test")


def spec(**changes):
    """TINY with other values: `optimizer='type = "sgd"'` replaces a whole table."""
    text = TINY
    for table, body in changes.items():
        head = f"[{table}]"
        before, found, after = text.partition(head + "\n")
        rest = after[after.find("\n[") :] if "\n[" in after else ""
        text = f"{before}{head}\n{body}\n{rest}" if found else f"{text}\n{head}\n{body}\n"
    return text


def deep(layers, units=8, dtype="float32"):
    """A stack of dense layers with relu between them."""
    hidden = f'[[layers]]\ntype = "dense"\nunits = {units}\nactivation = "relu"\n'
    return (
        f'name = "deep"\ndtype = "{dtype}"\n[input]\nshape = [{units}]\n'
        + hidden * (layers - 1)
        + '[[layers]]\ntype = "dense"\nunits = 3\n'
        + '[loss]\ntype = "softmax_cross_entropy"\n[optimizer]\ntype = "adam"\n'
    )
