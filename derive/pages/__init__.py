"""Derivations for a reader: LaTeX, HTML, Markdown, notebooks, the terminal."""
