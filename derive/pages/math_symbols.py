"""What TeX knows of the signs of a formula: their class, and the space between two classes.

The spaces are those of the table in The TeXbook, chapter 18: thin 3/18 em, medium 4/18, thick 5/18.
"""

from __future__ import annotations

from dataclasses import dataclass

ORD, OP, BIN, REL, OPEN, CLOSE, PUNCT, INNER = range(8)
SPACE = 8  # is no atom: the space between its neighbors is added to its own

# By the class of the left atom, then of the right: in eighteenths of an em; negative, not in
# scripts. Where a row has None TeX makes an ordinary atom of the binary sign.
_THIN, _MED, _THICK = -3, -4, -5
_SPACING: tuple[tuple[int | None, ...], ...] = (
    (0, 3, _MED, _THICK, 0, 0, 0, _THIN),
    (3, 3, None, _THICK, 0, 0, 0, _THIN),
    (_MED, _MED, None, None, _MED, None, None, _MED),
    (_THICK, _THICK, None, 0, _THICK, 0, 0, _THICK),
    (0, 0, None, 0, 0, 0, 0, 0),
    (0, 3, _MED, _THICK, 0, 0, 0, _THIN),
    (_THIN, _THIN, None, _THIN, _THIN, _THIN, _THIN, _THIN),
    (_THIN, 3, _MED, _THICK, _THIN, 0, _THIN, _THIN),
)


def space_between(left: int, right: int, script: bool) -> int:
    """The space between two atoms, in eighteenths of an em."""
    space = _SPACING[left][right] or 0
    return space if space > 0 else 0 if script else -space


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign: its element, the text of this, its class, its attributes.

    A sign that is `limits` has what is written below and above it there, in displays. A space has
    its width in eighteenths of an em as text.
    """

    tag: str
    text: str
    kind: int = ORD
    attributes: str = ""
    limits: bool = False


def _all(kind: int, tag: str, signs: str) -> dict[str, Sign]:
    return {name: Sign(tag, text, kind) for name, text in (s.split("=") for s in signs.split())}


_FUNCTIONS = "log exp sin cos tan sinh cosh tanh arcsin arccos arctan ln det"

COMMANDS: dict[str, Sign] = (
    {rf"\{name}": Sign("mi", name, OP) for name in _FUNCTIONS.split()}
    | {rf"\{name}": Sign("mi", name, OP, limits=True) for name in ("max", "min", "lim")}
    | _all(ORD, "mi", r"\top=⊤ \partial=∂ \infty=∞ \nabla=∇ \ell=ℓ")
    | _all(ORD, "mi", r"\alpha=α \beta=β \gamma=γ \delta=δ \varepsilon=ε \epsilon=ϵ \zeta=ζ \eta=η")
    | _all(ORD, "mi", r"\theta=θ \iota=ι \kappa=κ \lambda=λ \mu=μ \nu=ν \xi=ξ \pi=π \rho=ρ")
    | _all(ORD, "mi", r"\sigma=σ \varsigma=ς \tau=τ \upsilon=υ \phi=ϕ \varphi=φ \chi=χ \psi=ψ")
    | _all(ORD, "mi", r"\omega=ω")
    | {
        name: Sign(s.tag, s.text, s.kind, ' mathvariant="normal"')  # TeX has them upright
        for name, s in _all(
            ORD,
            "mi",
            r"\Gamma=Γ \Delta=Δ \Theta=Θ \Lambda=Λ \Xi=Ξ \Pi=Π \Sigma=Σ \Upsilon=Υ \Phi=Φ "
            r"\Psi=Ψ \Omega=Ω",
        ).items()
    }
    | _all(ORD, "mo", r"\lnot=¬ \neg=¬ \forall=∀ \exists=∃")
    | _all(BIN, "mo", r"\cdot=⋅ \times=× \odot=⊙ \oslash=⊘ \otimes=⊗ \oplus=⊕ \circ=∘ \pm=±")
    | _all(BIN, "mo", r"\lor=∨ \land=∧ \cup=∪ \cap=∩")
    | _all(REL, "mo", r"\leq=≤ \geq=≥ \neq=≠ \approx=≈ \equiv=≡ \in=∈ \subset=⊂ \to=→")
    | _all(REL, "mo", r"\leftarrow=← \rightarrow=→ \gets=← \mapsto=↦ \Rightarrow=⇒ \propto=∝")
    | _all(OPEN, "mo", r"\lfloor=⌊ \lceil=⌈ \lvert=| \lVert=‖ \langle=⟨")
    | _all(CLOSE, "mo", r"\rfloor=⌋ \rceil=⌉ \rvert=| \rVert=‖ \rangle=⟩")
    | _all(INNER, "mi", r"\ldots=… \cdots=⋯ \dots=…")
    | {
        name: Sign("mspace", str(width), SPACE)
        for name, width in {
            r"\,": 3,
            r"\:": 4,
            r"\;": 5,
            r"\!": -3,
            r"\ ": 4.5,
            r"\quad": 18,
            r"\qquad": 36,
        }.items()
    }
)

# What latex2mathml makes of what is left to it.
CHARACTERS: dict[str, Sign] = (
    _all(BIN, "mo", "+=+ −=−")
    | {c: Sign("mo", c, REL) for c in "=<>:"}
    | {c: Sign("mo", c, OPEN) for c in "(["}
    | {c: Sign("mo", c, CLOSE) for c in ")]!"}
    | {c: Sign("mo", c, PUNCT) for c in ",;"}
    | {c: Sign("mo", c) for c in "/|."}
    | {"{": Sign("mo", "{", OPEN), "}": Sign("mo", "}", CLOSE)}
    | {c: Sign("mo", c, OP, limits=True) for c in "∑∏"}
)

_BOLD = (("A", 0x1D400), ("a", 0x1D41A), ("0", 0x1D7CE))


def bold(c: str) -> str:
    """A letter or digit in bold, which MathML Core has as a character of its own."""
    start, code = _BOLD[c.islower() + 2 * c.isdigit()]
    return chr(ord(c) - ord(start) + code)


# What browsers put at either side of an operator by themselves, in eighteenths of an em.
_NATURAL = (
    dict.fromkeys("=<>≤≥≠≈≡∈⊂→←↦⇒∝", (5, 5))
    | dict.fromkeys("+−±⊕⊙⊘∨∧∪∩", (4, 4))
    | dict.fromkeys("()[]{}⌊⌋⌈⌉⟨⟩", (0, 0))
    | {",": (0, 3), ";": (0, 3), ":=": (5, 5)}
)


def natural_space(text: str) -> tuple[int, int]:
    """The space that an operator between others has without attributes; (-1, -1): not relied on."""
    return _NATURAL.get(text, (-1, -1))
