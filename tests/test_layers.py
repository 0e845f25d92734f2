"""Imports run only downward through the layers of the compiler."""

import ast
from pathlib import Path

import derive

PACKAGE = Path(derive.__file__).parent

# A module may import any layer above its own line, and within its line those to its left.
LAYERS = (
    "text_printer functions notation scans",
    "source constants lines names reach ranges expressions recurrences formula",
    "checker arithmetic arrays interpreter",
    "normal_form folding deltas calculus stepping",
    "blocks identities shortest reuse statistics recognition simplify",
    "sweep derivation",
    "branches pairs polynomial_forms normal_tail stable_forms stability",
    "statements hoisting liveness views ufuncs reading elementwise contraction extrema",
    "spreading accumulation placement loops lowering",
    "scheduling numpy_printer",
    "display likewise latex_names latex_printer latex_layout matrix matrix_form",
    "latex_rows latex_steps",
    "toml_positions toml_tables size_expressions groups definition bindings",
    "catalogue fields uses cases definitions",
    "spec instances updates network_parts layering network per_sample weighting passes",
    "render rolling latex_document formula_module kernels workspaces output_functions",
    "initial_values optimizer_kernel network_module",
    "held checks derived datasets",
    "pipeline",
    "listing",
    "commands",
    "__init__ __main__",
)


def order() -> dict[str, int]:
    names = [name for layer in LAYERS for name in layer.split()]
    return {name: k for k, name in enumerate(names)}


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("derive."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("derive.")}
    return found


def test_every_module_has_its_place() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(order())


def test_imports_run_downward() -> None:
    place = order()
    upward = [
        f"{path.stem} imports {name}"
        for path in PACKAGE.glob("*.py")
        for name in imports(path)
        if place[name] >= place[path.stem]
    ]
    assert upward == []
