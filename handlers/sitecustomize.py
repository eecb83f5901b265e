"""Runs first in every TorchServe worker: Python imports a module of this name when it starts, if one is on its path.

TorchServe puts the archive's folder on the path. Its worker imports PyTorch before it loads a handler, and uses it only
for answers that are tensors; ours are text. The import takes 2 seconds of a core, which a version that loads takes from
those that answer, and 300 MB. So TorchServe's module gets a stand-in that imports PyTorch when it is used; an engine
that needs PyTorch imports it as ever.

Without this file (a caller's PYTHONPATH may hold another one of its name) all works, and starts more slowly.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_USER = "ts.protocol.otf_message_handler"


class _Deferred(ModuleType):
    """Stands in for a module; each attribute is the real one's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _defer(name: str, *, user: str) -> None:
    """Import the module ``user`` with a stand-in for what it imports under ``name``."""
    if name in sys.modules or user in sys.modules:
        return
    stand_in = sys.modules[name] = _Deferred(name)
    try:
        importlib.import_module(user)
    except ImportError:  # another TorchServe: its worker says so itself
        sys.modules.pop(user, None)
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


_defer("torch", user=_USER)
