"""What was done, and when: in the panel's log, and in the application's, which users attach to reports."""

import logging
import time
from typing import Any

_log = logging.getLogger("TuckerSeg")


class Log:
    """Looks after the QPlainTextEdit of the log."""

    def __init__(self, text_edit: Any) -> None:
        self._text_edit = text_edit

    def add(self, text: str) -> None:
        self._text_edit.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")
        _log.info("%s", text)

    def add_failure(self, text: str, details: str) -> None:
        """`details` are for developers: the application's log alone has them."""
        self._text_edit.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")
        _log.warning("%s%s", text, f"\n{details}" if details else "")
