"""What a module did that the application would refuse: kept, so that a test can ask for none.

Only code outside the host, the standard library and site-packages is blamed: the host itself and Slicer's own
`slicer.util` may do more than a module may.
"""

import ast
import dis
import sys
import sysconfig
import traceback
from pathlib import Path
from types import FrameType, TracebackType

_HOST = str(Path(__file__).parent)
_TRUSTED = (_HOST, sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], "<frozen", "<string>")

violations: list[str] = []
errors: list[str] = []


def reset() -> None:
    violations.clear()
    errors.clear()


def is_module_code(frame: FrameType | None) -> bool:
    return frame is not None and not frame.f_code.co_filename.startswith(_TRUSTED)


def record(frame: FrameType | None, what: str) -> None:
    """Keeps `what` if the code that runs in `frame` is a module's."""
    if frame is not None and is_module_code(frame):
        violations.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}: {what}")


def reads_attribute(frame: FrameType) -> bool:
    """False for `hasattr(w, "x")` and `getattr(w, "x", None)`, which ask whether there is one."""
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return instruction.startswith(("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"))


def check_imports(file: Path) -> None:
    """The application has Qt, but none of its other wrappers."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        for name in names:
            if name.startswith(("PySide", "PyQt", "shiboken", "qtpy")):
                violations.append(f"{file.name}:{node.lineno}: import of {name}")


def report_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An exception that reached the event loop: the application prints it and goes on, and so does the host.

    Calling what is no method is how calling a property ends (`slider.value()`), so that is a violation too.
    """
    text = "".join(traceback.format_exception(kind, error, trace))
    errors.append(text)
    print(text, file=sys.stderr)
    if isinstance(error, TypeError) and "object is not callable" in str(error) and trace is not None:
        last = list(traceback.walk_tb(trace))[-1][0]
        record(last, f"{error}: a property was called")
