"""Random formulas and their cotangents, run as NumPy in both forms, against the interpreter.

`DERIVE_RANDOM_FORMULAS=5000` makes it a longer run, of other formulas each time.
"""

import numpy as np
from hypothesis import given, note

from derive.code.lowering import lower
from derive.code.numpy_printer import lines, prefixed
from derive.code.scheduling import fresh
from derive.gradients.normal_form import flatten
from tests.lowered_programs import run_fresh, run_workspace, written_out
from tests.test_calculus_random import (
    cotangents,
    drawn,
    evaluated,
    formulas,
    random_cotangent,
    random_formulas,
)


@random_formulas(examples=80)
@given(formulas())
def test_means_the_same_to_numpy(formula):
    program, arrays, values, wrt = drawn(formula)
    first = cotangents(flatten(program), program.result, "seed", wrt)
    arrays["seed"] = random_cotangent(values[program.result].shape)
    results = (program.result, *first.cotangents.values())
    exact = evaluated(first.program, arrays)
    computed = written_out(first.program)
    note(str(computed))
    schedule = fresh(lower(computed, results))
    note("\n".join(lines(schedule.statements, prefixed(schedule, ""), {})))
    for form in (run_fresh, run_workspace):
        found = form(computed, results, arrays)
        for target in results:
            assert np.shape(found[target]) == np.shape(exact[target]), target
            scale = 1 + np.abs(exact[target]).max(initial=0)
            np.testing.assert_allclose(
                found[target], exact[target], rtol=1e-9, atol=1e-11 * scale, err_msg=target
            )
