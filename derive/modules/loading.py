"""A generated module, loaded from its text: no file is written, and tracebacks quote the text."""

from __future__ import annotations

import importlib.util
import linecache
import zlib
from importlib.abc import InspectLoader
from types import CodeType, ModuleType


class _Source(InspectLoader):
    """Loads a module from its text, which tracebacks and warnings quote."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.file = f"<{name} {zlib.crc32(text.encode()):08x}>"
        linecache.cache[self.file] = (len(text), None, text.splitlines(keepends=True), self.file)

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.file, "exec")


def load(source: str, name: str) -> ModuleType:
    """A generated module, loaded from its text."""
    loader = _Source(source, name)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
