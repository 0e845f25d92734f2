"""Expressions and equations as a page or a terminal shows them: LaTeX, Unicode, matrix forms."""
