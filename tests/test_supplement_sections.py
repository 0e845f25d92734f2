"""The page's sections beside the derivation: each equation once, with steps where it has some."""

import pytest
from networks import TINY, derived

from derive.pages.document import Display

SECOND = f"second_order = true\n{TINY}"


@pytest.fixture(scope="module")
def sections():
    return {s.title: s for s in derived(SECOND).document.sections}


def homes(section):
    """The numbers that are at home in a section."""
    for block in section.blocks:
        for line in block.lines if isinstance(block, Display) else ():
            yield from (
                n for row in line if row.home and row.number for n in (row.number, *row.also)
            )
    for part in section.parts:
        yield from homes(part)


def headings(section):
    return [part.title for part in section.parts]


def test_each_number_is_at_home_once(sections):
    found = [n for section in sections.values() for n in homes(section)]
    assert len(found) == len(set(found))
    assert {n for n in found if n.isdigit()} == {str(n) for n in range(1, 39)}
    assert {n for n in found if n.isalpha()} == {"A", "B", "C"}  # of three derivations


def test_a_weighted_loss_has_the_steps_to_the_cotangent_of_the_output(sections):
    weighted = sections["Weighted loss"]
    assert [h.split("$")[1] for h in headings(weighted)] == [r"\bar{l}", r"\bar{z}^{(2)}"]
    assert {"18", "19", "19.1", "19.8", "B.2"} <= set(homes(weighted))


def test_the_gradient_of_a_sample_refers_to_that_of_all(sections):
    each = sections["The gradient of each sample"]
    assert each.parts == ()
    assert each.blocks[0].endswith("are derived (#21) as (#7), (#22) as (#8), (#23) as (#9), "
                                   "(#24) as (#12) and (#25) as (#13).")  # fmt: skip


def test_second_derivatives_that_are_derived_as_first_ones_refer_to_them(sections):
    second = sections["The Hessian times a direction"]
    assert second.blocks[0].endswith(
        "(#31) as (#8), (#34) as (#11), (#35) as (#12) and (#36) as (#13)."
    )
    shown = set(homes(second))
    for number in range(26, 37):
        assert (f"{number}.1" in shown) == (number not in (31, 34, 35, 36))
    # The equations of the derivation that it comes through have their numbers.
    for symbol, number in (
        (r"\bar{z}^{(1),\mathrm{hvp}}", 13),
        (r"\bar{a}^{(1),\mathrm{hvp}}", 11),
    ):
        part = next(p for p in second.parts if p.title.startswith(f"Cotangent ${symbol}$"))
        assert f"through (#{number})" in " ".join((part.title, *map(str, part.blocks)))


def test_a_referred_cotangent_has_the_same_steps_in_other_names():
    chains = derived(SECOND).chains
    assert chains["second"].referred == {
        "b_2_hvp": "b_2_bar",
        "z_1_hvp": "z_1_bar",
        "b_1_hvp": "b_1_bar",
        "W_1_hvp": "W_1_bar",
    }


def test_rules_of_the_steps_beside_are_explained(sections):
    assert "The *reuse of the forward pass* reads" in sections["Steps"].blocks[0]
