"""From equations to the equations of their cotangents, every step recorded, in textbook form."""
