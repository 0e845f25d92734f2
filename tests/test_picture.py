"""The picture of a network: where its nodes stand, what they are linked to, and that it is XML."""

import re
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from derive.gradients.derivation import Gradients, reverse
from derive.networks import passes
from derive.networks.network import compose
from derive.networks.spec import load
from derive.pages import network_sections
from derive.pages.graph import Edge, Graph, Node, of_gradients, of_network
from derive.pages.graph_layout import GAP, Layout, layout, spread
from derive.pages.picture import WIDEST, picture, shortened
from derive.pipeline import differentiate, hessian, hvp, vjp

SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.toml"))
CELL = """
h[-1,j] = h0[j]
c[-1,j] = c0[j]
f[t,j] = sigmoid(sum[k](h[t-1,k]*U[k,j]) + b[j])
o[t,j] = sigmoid(sum[k](h[t-1,k]*V[k,j]) + x[t,j])
c[t,j] = c[t-1,j]*f[t,j] + x[t,j]
h[t,j] = o[t,j]*tanh(c[t,j])
L = sum[t,j](h[t,j]**2)
"""
FORMULAS = {
    "squares": lambda: differentiate("L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)", "w"),
    "cross_entropy": lambda: differentiate(
        "L = -sum[n,k](y[n,k]*log(exp(z[n,k])/sum[j](exp(z[n,j]))))", "z"
    ),
    "attention": lambda: differentiate(
        "S[t,s] = sum[k](q[t,k]*r[s,k])/sqrt(K)\nP[t,s] = exp(S[t,s])/sum[u](exp(S[t,u]))\n"
        "L = sum[t,s,j](P[t,s]*v[s,j]*g[t,j])",
        ["q", "r", "v"],
    ),
    "recurrence": lambda: differentiate(CELL, ["U", "V", "b"]),
    "hvp": lambda: hvp("L = sum[n](log(1 + exp(-y[n]*sum[i](X[n,i]*w[i]))))", "w"),
    "hessian": lambda: hessian("L = sum[n](log(1 + exp(-y[n]*sum[i](X[n,i]*w[i]))))", "w"),
    "vjp": lambda: vjp("y[n,k] = exp(z[n,k])/sum[j](exp(z[n,j]))", "z"),
}
DEEP = """
name = "deep"
title = "Deep <script>alert('&')</script> \\"net\\""
[input]
shape = [8]
{layers}
[[layers]]
type = "dense"
units = 3
name = "a_head_with_a_name_of_more_than_forty_letters_and_a_half"
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "sgd"
"""
LAYER = '[[layers]]\ntype = "dense"\nunits = 8\nactivation = "tanh"\n'


def network(path: Path) -> tuple[Gradients, Graph]:
    spec = load(path)
    composed = compose(spec)
    gradients = passes.derive(composed, spec.second_order).gradients
    return gradients, of_network(spec, composed, gradients)


@cache
def drawn(name: str) -> tuple[Gradients, Graph]:
    if name in FORMULAS:
        gradients = FORMULAS[name]().gradients
        return gradients, of_gradients(gradients)
    return network(next(path for path in SPECS if path.stem == name))


NAMES = [*(path.stem for path in SPECS), *FORMULAS]


def laid_out(graph: Graph) -> Layout:
    """With nodes of different sizes, as they come."""
    sizes = {n.name: (60.0 + 8 * len(n.name), 20.0 + 16 * len(n.details)) for n in graph.nodes}
    return layout(graph, sizes)


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


# The layout.


@pytest.mark.parametrize("name", NAMES)
def test_nodes_stand_apart_and_within(name: str) -> None:
    found = laid_out(drawn(name)[1])
    for a, b in combinations(found.places.values(), 2):
        beside = a.right + GAP <= b.left + 1e-6 or b.right + GAP <= a.left + 1e-6
        assert beside or a.bottom < b.top or b.bottom < a.top
    for place in found.places.values():
        assert place.left >= -1e-6 and place.right <= found.width + 1e-6
        assert place.top >= -1e-6 and place.bottom <= found.height + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_edges_run_downward_from_node_to_node_around_the_others(name: str) -> None:
    _, graph = drawn(name)
    found = laid_out(graph)
    assert set(found.ways) == set(graph.edges)
    for edge, way in found.ways.items():
        ends = (edge.head, edge.tail) if edge.recurrent else (edge.tail, edge.head)
        upper, lower = (found.places[end] for end in ends)
        assert way[0][1] == upper.bottom and upper.left < way[0][0] < upper.right
        assert way[-1][1] == lower.top and lower.left < way[-1][0] < lower.right
        for (x0, y0), (x1, y1) in pairwise(way):
            assert y0 < y1
            for step in range(21):  # the curve that `picture` draws
                t = step / 20
                x = x0 + (x1 - x0) * (3 * t**2 - 2 * t**3)
                y = y0 + (y1 - y0) * (1.5 * t * (1 - t) + t**3)
                for other in found.places.values():
                    inside = other.left < x < other.right and other.top < y < other.bottom
                    assert not inside or other in (upper, lower)


def test_a_chain_is_straight_beside_a_residual() -> None:
    found = laid_out(drawn("residual_mlp")[1])
    middles = [p.left + p.width / 2 for n, p in found.places.items() if n != "target"]
    assert max(middles) - min(middles) < 0.5


def test_a_layer_is_no_broader_than_a_telephone_or_little() -> None:
    nodes = [Node(f"x{k}", "input") for k in range(20)] + [Node("y", "result")]
    edges = [Edge(f"x{k}", "y") for k in range(20)]
    found = layout(Graph("", tuple(nodes), tuple(edges)), {n.name: (80.0, 30.0) for n in nodes})
    rows = [p.top for n, p in found.places.items() if n != "y"]
    assert max(map(rows.count, rows)) * (80 + GAP) <= 520
    assert all(p.bottom < found.places["y"].top for n, p in found.places.items() if n != "y")


def test_an_empty_graph_has_a_layout() -> None:
    assert layout(Graph("", (), ()), {}) == Layout({}, {}, 0.0, 0.0)


def test_spread_moves_what_would_overlap_and_nothing_else() -> None:
    assert spread([0, 100], [20, 20], [1, 1], 10) == [0, 100]
    assert spread([50, 50], [20, 20], [1, 1], 10) == [35, 65]
    assert spread([50, 50], [20, 20], [3, 1], 10) == [42.5, 72.5]
    assert spread([60, 50, 300], [20, 20, 20], [1, 1, 1], 10) == [40, 70, 300]


# Equations and nodes.


@pytest.mark.parametrize("name", NAMES)
def test_every_equation_belongs_to_one_node(name: str) -> None:
    gradients, graph = drawn(name)
    numbers = sorted(k for node in graph.nodes for k in (*node.forward, *node.backward))
    assert numbers == sorted(gradients.numbers.values())
    forward = {gradients.numbers.get(e.target) for e in gradients.forward.equations}
    for node in graph.nodes:
        assert set(node.forward) <= forward and not set(node.backward) & forward


def targets(name: str, node: str) -> tuple[set[str], set[str]]:
    gradients, graph = drawn(name)
    found = next(n for n in graph.nodes if n.name == node)
    called = {number: target for target, number in gradients.numbers.items()}
    return {called[k] for k in found.forward}, {called[k] for k in found.backward}


def test_the_equations_of_a_layer() -> None:
    assert targets("digits_mlp", "input") == (set(), {"x_bar"})
    assert targets("digits_mlp", "dense_1") == ({"z_1"}, {"z_1_bar", "W_1_bar", "b_1_bar"})
    assert targets("digits_mlp", "relu_1") == ({"a_1"}, {"a_1_bar"})
    assert targets("digits_mlp", "loss") == ({"l", "p", "L"}, set())
    forward, backward = targets("digits_cnn", "batch_norm_1")
    assert forward >= {"mu_2", "x_hat_2", "y_2", "running_mean_next_2"}
    assert backward == {"y_2_bar", "gamma_2_bar", "beta_2_bar", "x_hat_2_bar"}
    assert targets("first_a", "rnn_1")[1] >= {"h_2_bar", "s_2_bar", "U_2_bar", "W_2_bar"}
    assert "c_1_back" in targets("digits_lstm", "lstm_1")[1]
    # Those of shared parameters are with the layer that they are named after.
    assert {"W_2_bar", "b_2_bar"} <= targets("wine_siamese", "hidden")[1]
    assert targets("wine_siamese", "right_hidden") == ({"z_5"}, {"z_5_bar"})


def wires(name: str) -> dict[tuple[str, str], Edge]:
    return {(e.tail, e.head): e for e in drawn(name)[1].edges}


def test_the_edges_of_a_network() -> None:
    found = wires("residual_mlp")
    assert {("stem", "block_1"), ("inner_1", "block_1"), ("target", "loss")} <= set(found)
    assert found["stem", "block_1"].backward and not found["target", "loss"].backward
    number = drawn("residual_mlp")[0].numbers["z_1_bar"]
    assert found["stem", "block_1"].number == found["stem", "layer_norm_1"].number == number
    assert not wires("first_a")["input", "embedding_1"].backward  # tokens
    assert {("input", "left"), ("input", "right")} <= set(wires("wine_siamese"))


def test_the_edges_of_a_formula() -> None:
    found = wires("squares")
    assert {pair for pair, e in found.items() if e.backward} == {("w", "s"), ("s", "L")}
    assert set(found) == {("X", "s"), ("w", "s"), ("y", "L"), ("s", "L")}
    found = wires("recurrence")
    assert {pair for pair, e in found.items() if e.recurrent} == {("h", "s"), ("h", "s_1")}
    assert found["h", "s"].backward and not found["x", "c"].backward
    # The cotangent that is given comes from below the result.
    assert not wires("vjp")["y", "y_bar"].forward
    assert not wires("hvp")["w_bar", "w_bar_direction"].forward
    assert {pair for pair, e in wires("hvp").items() if e.backward} >= {("s_bar", "w_bar")}
    # The gradient alone is differentiated: cotangents that it was made with are no news.
    assert not wires("hvp")["s", "L"].backward
    text = "L = sum[n](log(sum[k](exp(z[n,k]))) - sum[k](y[n,k]*z[n,k]))"
    found = {(e.tail, e.head): e for e in of_gradients(hvp(text, "z").gradients).edges}
    assert found["l", "p"].backward and not found["l", "L"].backward


def test_a_cotangent_gives_way_to_a_name_of_the_user() -> None:
    gradients = differentiate("x[i] = w[i]**2\nL = sum[i](exp(x[i])*x_bar[i])", "w").gradients
    graph = of_gradients(gradients)
    owner = {k: n.name for n in graph.nodes for k in n.backward}
    called = {owner[k]: t for t, k in gradients.numbers.items() if k in owner}
    assert called["w"] == "w_bar" and "x_bar" not in called


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Gradients, Graph]:
    path = tmp_path_factory.mktemp("specs") / "deep.toml"
    path.write_text(DEEP.format(layers=LAYER * 9))
    return network(path)


def test_of_layers_alike_the_first_and_the_last_are_drawn(deep: tuple[Gradients, Graph]) -> None:
    gradients, graph = deep
    shown = [node.name for node in graph.nodes if node.kind == "layer"]
    assert shown[:4] == ["dense_1", "tanh_1", "dense_9", "tanh_9"]
    (dots,) = (node for node in graph.nodes if node.kind == "dots")
    assert "7 × 2 layers" in dots.heading
    number = gradients.numbers
    assert dots.forward == tuple(range(number["z_2"], number["a_8"] + 1))
    assert {number["W_2_bar"], number["z_8_bar"], number["a_5_bar"]} <= set(dots.backward)
    assert number["W_9_bar"] not in dots.backward
    numbers = sorted(k for node in graph.nodes for k in (*node.forward, *node.backward))
    assert numbers == sorted(number.values())
    pairs = [(e.tail, e.head) for e in graph.edges]
    assert pairs[2:4] == [("tanh_1", dots.name), (dots.name, "dense_9")]


def test_four_layers_alike_are_all_drawn(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(DEEP.format(layers=LAYER * 4))
    _, graph = network(tmp_path / "deep.toml")
    assert [node.kind for node in graph.nodes].count("layer") == 9


# The picture.


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_equations_and_numbers_are_links(name: str) -> None:
    gradients, graph = drawn(name)
    svg = picture(graph)
    links = {a.get("href") for a in elements(svg, "a")}
    assert links <= {f"#eq-{k}" for k in gradients.numbers.values()}
    for node in graph.nodes:
        for numbers in (node.forward, node.backward):
            assert not numbers or {f"#eq-{min(numbers)}", f"#eq-{max(numbers)}"} <= links
    for edge in graph.edges:
        assert not (edge.backward and edge.number) or f"#eq-{edge.number}" in links


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_within_the_view_box(name: str) -> None:
    svg = picture(drawn(name)[1])
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for r in elements(svg, "rect"):
        x, y, w, h = (float(r.attrib[k]) for k in ("x", "y", "width", "height"))
        assert min(x, y) > 0 and x + w < width and y + h < height and w <= WIDEST + 1
    for text in elements(svg, "text"):
        assert 0 < float(text.attrib["x"]) < width and 0 < float(text.attrib["y"]) < height
    numbers = [
        tuple(map(float, pair))
        for p in elements(svg, "polygon")
        for pair in (point.split(",") for point in p.attrib["points"].split())
    ]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in numbers)
    for p in elements(svg, "path"):
        for x in re.findall(r"M([\d.]+) ", p.attrib["d"]):
            assert 0 <= float(x) <= width


def test_what_a_user_wrote_is_escaped_and_long_names_are_shortened(
    deep: tuple[Gradients, Graph],
) -> None:
    svg = picture(deep[1])
    root = ElementTree.fromstring(svg)
    assert "<script>" not in svg and "alert" in root.attrib["aria-label"]
    name = "a_head_with_a_name_of_more_than_forty_letters_and_a_half"
    assert not any(name in (text.text or "") for text in elements(svg, "text"))
    assert any((t.text or "").startswith(f"{name}: N × 3") for t in elements(svg, "title"))
    graph = Graph("", (Node("<a&'\">", "layer", ("<b>",), "<c>", formula="<d>", note="<e>"),), ())
    assert "".join(ElementTree.fromstring(picture(graph)).itertext()).count("<") >= 5


def test_names_in_the_table_of_layers_are_marked_and_in_the_picture_are_not() -> None:
    _, graph = drawn("wine_siamese")
    rows = {row[0]: row[2] for row in network_sections.layers(graph, "").blocks[0].rows}
    assert any(re.fullmatch(r"(`\w+`, )?shares those of `\w+`", words) for words in rows.values())
    for words in rows.values():
        left = re.sub(r"`\w+`|[\d,]+ parameters|shares those of", "", words)
        assert set(left) <= {",", " "}, words
    assert "shares those of" in picture(graph) and "`" not in picture(graph)


def test_a_picture_says_the_same_twice_and_has_no_ids() -> None:
    path = next(path for path in SPECS if path.stem == "digits_mlp")
    svg = picture(network(path)[1])
    assert svg == picture(drawn("digits_mlp")[1])
    assert " id=" not in svg


def test_a_number_of_many_runs_is_abridged() -> None:
    node = Node("y", "layer", forward=(1, 2, 3, 5, 7, 9, 10))
    svg = picture(Graph("", (node,), ()))
    (line,) = (t for t in elements(svg, "text") if "numbers" in t.attrib["class"])
    assert "".join(line.itertext()) == "(1)–(3), …, (9), (10)"


def test_shortened() -> None:
    assert shortened("layer_norm_1", 12) == "layer_norm_1"
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert all(len(shortened("x" * 40, most)) == most for most in range(2, 40))


def test_where_no_cotangent_flows_there_is_no_arrow_for_it() -> None:
    found = of_gradients(differentiate("b = v*x\nL = x**3", "x").gradients).edges
    assert {(e.tail, e.head) for e in found} == {("v", "b"), ("x", "b"), ("x", "L")}
    assert {(e.tail, e.head) for e in found if e.backward} == {("x", "L")}
    forward = differentiate("L = sum[i](x[i]**2)", "x").gradients.forward
    graph = of_gradients(reverse(forward, (), {}))
    assert graph.edges and not any(e.backward for e in graph.edges)
    assert elements(picture(graph), "path") and "cotangents" not in picture(graph)
