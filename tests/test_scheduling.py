"""Who shares memory with whom, and who must not."""

from __future__ import annotations

from sympy import Symbol

from derive.code.lowering import lower
from derive.code.numpy_printer import allocation, lines, prefixed
from derive.code.scheduling import Schedule, fresh, workspace
from derive.gradients.normal_form import flatten
from derive.language.formula import parse

NETWORK = """
    z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    a_1[n,j] = where(0 < z_1[n,j], z_1[n,j], 0)
    z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k])
    g_2[n,k] = z_2[n,k] - y[n,k]
    G_2[j,k] = sum[n](a_1[n,j]*g_2[n,k])
    h_1[n,j] = sum[k](g_2[n,k]*W_2[j,k])
    g_1[n,j] = where(0 < z_1[n,j], h_1[n,j], 0)
    G_1[i,j] = sum[n](x[n,i]*g_1[n,j])"""
INPUTS = ("x", "y", "W_1", "b_1", "W_2")


def network(*given: str, results: tuple[str, ...] = ("G_1", "G_2")) -> Schedule:
    return workspace(lower(flatten(parse(NETWORK)), results), (*INPUTS, *given))


def code(schedule: Schedule, prefix: str = "") -> list[str]:
    return list(lines(schedule.statements, prefixed(schedule, prefix), {}))


def function(text: str, *results: str) -> list[str]:
    return code(fresh(lower(flatten(parse(text)), results)))


def test_an_equation_passes_its_memory_on() -> None:
    assert function("z[n,j] = exp(sum[i](x[n,i]*W[i,j]) + b[j])") == [
        "z = np.matmul(x, W)",
        "np.add(z, b, out=z)",
        "np.exp(z, out=z)",
    ]


def test_named_tensors_keep_their_meaning() -> None:
    assert function("a[i] = x[i] + 1\nb[i] = exp(a[i])") == ["a = np.add(x, 1)", "b = np.exp(a)"]


def test_what_is_read_again_is_not_written_over() -> None:
    lines_ = function("y[i] = exp(x[i])*sin(exp(x[i]))")
    assert lines_ == ["y = np.exp(x)", "t_1 = np.sin(y)", "np.multiply(y, t_1, out=y)"]


def test_a_copy_in_place_is_no_copy() -> None:
    text = "w[n] = z[n,y[n]]\ng[n,j] = exp(z[n,j]) - (j == y[n]) + 0*w[n]"
    lines_ = function(text, "g")
    assert "np.exp(z)" in " ".join(lines_)
    assert not any("copy" in line for line in lines_)


def test_dead_equations_are_left_out() -> None:
    assert function("a[i] = exp(x[i])\nb[i] = sin(x[i])", "a") == ["a = np.exp(x)"]


def test_slots_are_used_again() -> None:
    schedule = network("G_1", "G_2")
    slot_of = {b: slot.name for slot in schedule.slots for b in slot.buffers}
    assert slot_of["a_1"] == slot_of["z_1"] != slot_of["h_1"]
    assert slot_of["g_2"] == slot_of["z_2"] != slot_of["z_1"]
    assert "G_1" not in slot_of and "x" not in slot_of
    assert "np.matmul(x.T, g_1, out=G_1)" in code(schedule)


def test_results_stay_to_the_end() -> None:
    schedule = network("G_1", "G_2", results=("G_1", "G_2", "z_2", "a_1"))
    slots = {b: slot for slot in schedule.slots for b in slot.buffers}
    assert slots["z_2"].buffers[-1] == "z_2"
    assert slots["a_1"].buffers[-1] == "a_1"


def test_sizes_of_slots_are_linear_in_the_batch() -> None:
    schedule = network("G_1", "G_2")
    n, j = Symbol("N", integer=True, positive=True), Symbol("J", integer=True, positive=True)
    assert n * j in [slot.size for slot in schedule.slots]
    assert "ws.z_1 = _empty((N, J), dtype)" in allocation(schedule, prefixed(schedule, "ws."), {})


def test_constants_are_made_once() -> None:
    program = flatten(parse("y[n,i] = x[n,i]*cos(i/I)"))
    schedule = workspace(lower(program), ("x", "y"))
    names = prefixed(schedule, "ws.")
    assert "ws.i = np.arange(I)" in allocation(schedule, names, {})
    assert code(schedule, "ws.") == [f"np.multiply(ws.{_last_setup(schedule)}, ws.x, out=ws.y)"]


def _last_setup(schedule: Schedule) -> str:
    return schedule.setup[-1].out


def test_split_at_the_first_cotangent() -> None:
    schedule = network("G_1", "G_2")
    first, second = schedule.split({"z_1", "a_1", "z_2"})
    assert first + second == schedule.statements
    assert second[0].origin == "g_2"


def test_cost_counts_products() -> None:
    schedule = fresh(lower(flatten(parse("z[n,j] = sum[i](x[n,i]*W[i,j])"))))
    n, i, j = (Symbol(s, integer=True, positive=True) for s in "NIJ")
    assert schedule.operations == 2 * n * i * j
    assert (schedule.elements - (n * i + i * j + n * j)).expand() == 0


ADAM = """
    m_next[p] = 0.75*m[p] + 0.375*g[p]
    v_next[p] = 0.75*v[p] + 0.375*g[p]**2
    w_next[p] = w[p] - 0.75*m_next[p]/(sqrt(v_next[p]) + 0.001)"""


def update(text: str, **over: str) -> list[str]:
    lowered = lower(flatten(parse(text)), tuple(over))
    inputs = [t.name for t in lowered.inputs]
    schedule = workspace(lowered, inputs, over)
    names = {b: b for b in prefixed(schedule, "")}
    names |= {b: slot.name for slot in schedule.slots for b in slot.buffers}
    return list(lines(schedule.statements, names, {}))


def test_an_update_works_in_place() -> None:
    printed = update(ADAM, m_next="m", v_next="v", w_next="w")
    for line in (
        "np.multiply(m, 0.75, out=m)",
        "np.add(m, slot_1, out=m)",
        "np.multiply(v, 0.75, out=v)",
        "np.subtract(w, slot_2, out=w)",
    ):
        assert line in printed, printed
    assert not any("slot_3" in line or "copyto" in line for line in printed)


def test_an_old_value_that_is_read_later_is_kept_until_then() -> None:
    printed = update("m_next[p] = m[p] + g[p]\nw_next[p] = w[p]*m[p]", m_next="m", w_next="w")
    assert printed == [
        "np.add(g, m, out=slot_1)",
        "np.multiply(m, w, out=w)",
        "np.copyto(m, slot_1)",
    ]
