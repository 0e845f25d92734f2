"""What the README shows is what happens."""

import re
import textwrap
from pathlib import Path

import derive
from derive import pipeline
from derive.modules.loading import load

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(b) for b in re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.M)]


def block(beginning: str) -> str:
    (found,) = (b for b in BLOCKS if b.lstrip().startswith(beginning))
    return found


def test_the_formula_gives_the_equations_shown() -> None:
    text = re.search(r'derive\.differentiate\("(.*)", wrt="w"\)', README)[1]
    d = derive.differentiate(text, wrt="w")
    assert block("s[n] = ").strip().splitlines() == [*map(str, d.equations)]


def test_the_network_shown_is_the_one_in_specs(tmp_path: Path) -> None:
    shown = tmp_path / "digits_mlp.toml"
    shown.write_text(block('name = "digits_mlp"'))
    committed = Path(__file__).parent.parent / "specs" / "digits_mlp.toml"
    # The spec in specs/ also has a title.
    titled = re.search(r"^title = .*\n", committed.read_text(), re.M)[0]
    shown.write_text(titled + shown.read_text())
    assert pipeline.generate(shown) == pipeline.generate(committed)


def test_the_definitions_shown_train(tmp_path: Path) -> None:
    spec = tmp_path / "own.toml"
    spec.write_text(
        'name = "own"\ndtype = "float64"\n[input]\nshape = [3]\n'
        '[[layers]]\ntype = "bilinear"\nunits = 2\nactivation = "swish"\n'
        '[loss]\ntype = "quartic"\n' + block("[define.activation.swish]")
    )
    net = load(pipeline.generate(spec)["own.py"], "own")
    model = net.Model(seed=0)
    x, y = [[1.0, -2.0, 0.5]] * 4, [[0.3, -0.2]] * 4
    losses = [model.train_step(x, y) for _ in range(30)]
    assert losses[-1] < losses[0]


def test_the_block_shown_is_repeated(tmp_path: Path) -> None:
    spec = tmp_path / "deep.toml"
    spec.write_text(
        'name = "deep"\n[input]\nshape = [8]\n'
        + block("[define.layer.residual]")
        + '\n[loss]\ntype = "mse"\n'
    )
    net = load(pipeline.generate(spec)["deep.py"], "deep")
    assert net.PARAMETERS["residual_1.W"] == (6, 8, 128)
    assert net.PARAMETERS["residual_1.W_2"] == (6, 128, 8)


def test_the_formula_of_the_language_reads() -> None:
    d = derive.vjp(block("mu[n]  ="), wrt=["x", "gamma", "beta"])
    assert [e.target for e in d.equations][:3] == ["mu", "var", "y"]
