"""One string in the application's settings, which outlive scenes and sessions."""

import qt


def read(name: str) -> str:
    return str(qt.QSettings().value(name) or "")


def write(name: str, text: str) -> None:
    qt.QSettings().setValue(name, text)
