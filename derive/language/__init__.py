"""The formula language: notation, parser, printer, and the interpreter that is the oracle."""
