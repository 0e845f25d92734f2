"""Imports run only downward through the layers of the compiler."""

import ast
from pathlib import Path

import derive

PACKAGE = Path(derive.__file__).parent

# A module may import those above its own line, and within its line those to its left.
LAYERS = (
    ("language", "text_printer functions notation scans likeness"),
    ("language", "source constants lines names reach ranges expressions recurrences formula"),
    ("language", "checker arithmetic arrays interpreter"),
    ("gradients", "normal_form folding deltas calculus stepping"),
    ("gradients", "blocks identities lengths candidates shortest reuse"),
    ("gradients", "statistics recognition simplify"),
    ("gradients", "activity backward_pass passing_back sweep derivation"),
    ("numerics", "branches differences pairs polynomial_forms normal_tail stable_forms"),
    ("numerics", "training_forms stability"),
    ("code", "layout statements views stacking joined_factors hoisting liveness"),
    ("code", "reassociation known_blocks affine_factors"),
    ("code", "ufuncs reading elementwise early contraction"),
    ("code", "extrema spreading stages windows expansion window_rows window_products"),
    ("code", "accumulation placement scan_step loops lowering"),
    ("code", "packing scheduling array_forms tiling resettling named_views numpy_printer"),
    ("code", "dry_run planning"),
    ("code", "citations"),
    ("printing", "display likewise ordering latex_names latex_printer latex_layout"),
    ("printing", "matrix matrix_form"),
    ("printing", "line_breaks unicode_names unicode_printer unicode_matrix"),
    ("library", "toml_positions toml_tables size_expressions groups definition bindings"),
    ("library", "catalogue fields uses cases definitions"),
    ("networks", "spec instances updates network_parts layering repetition network"),
    ("networks", "per_sample in_parts"),
    ("networks", "weighting passes supplements"),
    ("", "render"),
    ("pages", "document kinks rewritings reasons chains latex_rows derivation_sections"),
    ("pages", "four_equations four_equations_section"),
    ("pages", "glossary exposition"),
    ("pages", "latex_document markdown math_symbols math_tokens math_rows mathml math_font"),
    ("pages", "html_code html_page terminal_notation terminal_rows terminal notebook"),
    ("pages", "graph graph_layout picture network_sections supplement_sections"),
    ("modules", "rolling formula_origin formula_helpers formula_functions formula_module"),
    ("modules", "kernels workspaces output_functions initial_values scaled_updates"),
    ("modules", "optimizer_kernel line_layout network_summary network_module loading"),
    ("", "collector held checks derived network_derivation datasets"),
    ("", "pipeline listing module_origin explanation commands __init__ __main__"),
)


def modules() -> dict[str, Path]:
    """Every module by its dotted name, `__init__` of folders and the font's script aside."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        *folders, name = path.relative_to(PACKAGE).with_suffix("").parts
        if folders != ["fonts"] and not (folders and name == "__init__"):
            found[".".join((*folders, name))] = path
    return found


def order() -> dict[str, int]:
    names = [f"{package}.{name}".lstrip(".") for package, names in LAYERS for name in names.split()]
    return {name: k for k, name in enumerate(names)}


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        else:
            continue
        found |= {name.removeprefix("derive.") for name in names if name.startswith("derive.")}
    return found & modules().keys()


def test_every_module_has_its_place() -> None:
    assert set(modules()) == set(order())


def test_imports_run_downward() -> None:
    place = order()
    upward = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        for imported in imports(path)
        if place[imported] >= place[name]
    ]
    assert upward == []


def test_so_they_do_from_folder_to_folder() -> None:
    """A folder imports no folder that imports it."""
    pairs = {
        (name.split(".")[0], imported.split(".")[0])
        for name, path in modules().items()
        for imported in imports(path)
        if "." in name and "." in imported
    }
    assert {(a, b) for a, b in pairs if a != b and (b, a) in pairs} == set()


def test_a_folder_says_what_it_holds() -> None:
    for folder in {path.parent for path in modules().values()}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
