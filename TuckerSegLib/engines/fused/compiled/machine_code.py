"""Machine code for this processor, made by LLVM once (llvmlite) and kept on disk: making it may outlast a run."""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ....folders import cache_folder
from ....store import Store
from ....version import version_of

_log = logging.getLogger(__name__)

KERNEL = "kernel"
"""The name of the function."""

_DIGEST = hashlib.sha256().digest_size


def loaded(name: str, written: Callable[[], str], features: str) -> Any:
    """What holds the machine code of the function that `written` gives in LLVM's language, for these `features`.

    `name` tells it from all others that this package writes. Where its code was kept, `written` is not called.
    """
    import llvmlite.binding as llvm

    processor, store = llvm.get_host_cpu_name(), _store(cache_folder())
    key = f"kernel {_digest_of_writers()} {version_of('llvmlite')} {processor} {features} {name}"
    machine = _machine(processor, features)
    found = _whole(store.read_own(key))
    if found is not None:
        try:
            return _engine(machine, found)
        except RuntimeError as error:  # llvmlite raises no class of its own
            _log.info("A kernel is made anew: %s", error)
    module = llvm.parse_assembly(written())
    module.verify()
    made = machine.emit_object(module)
    store.write(key, hashlib.sha256(made).digest() + made)
    return _engine(machine, made)


def _engine(machine: Any, code: bytes) -> Any:
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _machine(processor: str, features: str) -> Any:
    """Each engine takes one for itself."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(cpu=processor, features=features, opt=3)


def _whole(content: bytes | None) -> bytes | None:
    """What was kept, if nothing is missing from it."""
    if content is None or hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return None
    return content[_DIGEST:]


@cache
def _store(folder: Path) -> Store:
    return Store(folder)


@cache
def _digest_of_writers() -> str:
    """Another one once any file of this package, which all functions come from, has changed."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
