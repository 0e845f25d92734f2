"""From equations to statements of NumPy, and their schedule."""
