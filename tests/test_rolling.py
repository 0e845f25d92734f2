"""Loops over repeated layers: they stand for exactly the lines that they replace."""

import re

import pytest

from derive.modules.rolling import Loop, elided, field, mark, marked, resolve, roll


def forward(layers):
    lines = ["np.matmul(ws.x, " + field("W_1") + ", out=" + field("z_1") + ")"]
    for l in range(2, layers + 1):
        lines.append(
            f"# ({mark(3 * l)}) " + marked(f"z_{l}[n,j] = sum[i](z_{l - 1}[n,i]*W_{l}[i,j])")
        )
        lines.append(f"np.matmul({field(f'z_{l - 1}')}, {field(f'W_{l}')}, out={field(f'z_{l}')})")
    return lines


def run(lines):
    """The calls that the lines make, with the names of the arrays as `stem_number`."""
    calls = []

    class Array:
        def __init__(self, name):
            self.name = name

        def __getitem__(self, number):
            return f"{self.name}_{number}"

        def __repr__(self):
            return self.name

    class Workspace:
        def __getattr__(self, name):
            return Array(name)

    class Numpy:
        def matmul(self, a, b, out):
            calls.append((str(a), str(b), str(out)))

    exec("\n".join(lines), {"ws": Workspace(), "np": Numpy()})
    return calls


@pytest.mark.parametrize("layers", [2, 4, 5, 30])
def test_a_loop_does_what_its_lines_did(layers):
    lines = forward(layers)
    _, (printed,) = resolve([lines])
    plain = [re.sub("[\x01\x02]", "", line) for line in lines]
    assert run(printed) == run(plain)


def test_many_layers_print_no_more_lines_than_some():
    assert len(resolve([forward(200)])[1][0]) == len(resolve([forward(8)])[1][0])


def test_few_layers_are_printed_one_by_one():
    kept, (printed,) = resolve([forward(3)])
    assert kept == ()
    assert printed[-1] == "np.matmul(ws.z_2, ws.W_3, out=ws.z_3)"


def test_the_loop_counts_layers_and_its_comments_say_so():
    kept, (printed,) = resolve([forward(9)])
    assert kept == ("z", "W")
    assert printed == (
        "np.matmul(ws.x, ws.W[1], out=ws.z[1])",
        "for l in range(2, 10):",
        "    # (3*l) z_l[n,j] = sum[i](z_(l-1)[n,i]*W_l[i,j])",
        "    np.matmul(ws.z[l - 1], ws.W[l], out=ws.z[l])",
    )


def test_backward_the_loop_runs_down():
    lines = [
        f"np.matmul({field(f'z_{l}_bar')}, {field(f'W_{l}_T')}, out={field(f'z_{l - 1}_bar')})"
        for l in range(9, 1, -1)
    ]
    _, (printed,) = resolve([lines])
    assert printed == (
        "for l in range(9, 1, -1):",
        "    np.matmul(ws.z_bar[l], ws.W_T[l], out=ws.z_bar[l - 1])",
    )


def test_public_names_become_formatted_strings():
    lines = [f'{field(f"W_{l}")} = p["dense_{mark(l)}.W"]' for l in range(1, 9)]
    assert resolve([lines])[1][0][1] == '    ws.W[l] = p[f"dense_{l}.W"]'


def test_numbers_that_do_not_move_on_evenly_stay_as_they_are():
    lines = [f"f({field(f'z_{l}')})" for l in (1, 2, 4, 7, 11, 16)]
    assert not any(isinstance(part, Loop) for part in roll(lines))


def test_equal_lines_are_no_loop():
    assert roll(["f()"] * 9) == ("f()",) * 9


def test_a_docstring_shows_the_first_and_the_last():
    lines = [marked(f"dense_{l} z_{l}") for l in range(1, 31)]
    assert list(elided(lines, "...")) == ["dense_1 z_1", "...", "dense_30 z_30"]


def test_letters_of_indices_may_differ_between_layers_but_their_places_may_not():
    def lines(letters):
        return [
            f"# ({mark(l)}) "
            + marked(f"z_{l}[n,{letters[l % 2]}] = z_{l - 1}[n,{letters[1 - l % 2]}]")
            for l in range(2, 12)
        ]

    assert isinstance(roll(lines("ij"))[0], Loop)
    odd = lines("ij")
    odd[2] = odd[2].replace("] =", "] = -")
    assert not isinstance(roll(odd)[0], Loop)


def test_numbers_that_move_by_7_and_by_20_are_linear_in_a_counter():
    lines = [f"{field(f'a_{7 * k + 3}')} = {mark(20 * k + 1)}" for k in range(5)]
    _, (printed,) = resolve([lines])
    assert printed == ("for l in range(0, 5):", "    ws.a[7*l + 3] = 20*l+1")


def test_fields_kept_by_layer_give_way_to_the_batch():
    lines = [f"{field(f'y_{k}')} = ws.y" for k in range(1, 6)]
    kept, (printed,) = resolve([lines])
    assert kept == ("y_",)
    assert printed == ("for l in range(1, 6):", "    ws.y_[l] = ws.y")


def test_a_text_between_quotes_is_no_name():
    """The quote that ends it does not begin another text, in which a number might stand."""
    lines = [f'np.einsum("an,an->n", {field("a_1")}, out={field("b_2")})\nnp.square("x", c)']
    _, (printed,) = resolve([lines])
    assert printed == ('np.einsum("an,an->n", ws.a_1, out=ws.b_2)', 'np.square("x", c)')


def test_no_loop_begins_within_a_statement():
    """The arguments of a call, a line each, are no lines that repeat."""
    names = [f"    {field(f't_{k}')}," for k in range(20, 32)]
    lines = ["ws.tiles = _tiles(  # (3)", *names, ")"]
    _, (printed,) = resolve([lines])
    assert printed == tuple(re.sub("[\x01\x02]", "", line) for line in lines)
