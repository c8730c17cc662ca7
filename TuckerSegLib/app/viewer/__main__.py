"""A viewer's process: its settings come in on standard input, its port goes out, and it ends with its input."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable

from ..serving.process import Settings


def main() -> None:
    """Serve until standard input ends."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print belongs into the log
    from ..features.image.sample import Sample

    sample = Sample()
    if settings.image is None:
        sample.begin()
    from .application import Application

    application = Application(settings, sample)
    threading.Thread(target=_end_with_input, args=(application.close, settings), daemon=True).start()
    application.serve(lambda port: os.write(answers, json.dumps({"port": port}).encode() + b"\n"))


def _end_with_input(close: Callable[[], None], settings: Settings) -> None:
    while sys.stdin.readline():
        pass
    close()
    shutil.rmtree(settings.folder, ignore_errors=True)  # the server may have been killed
    os._exit(0)  # VTK's windows and the event loop are of no use any more


if __name__ == "__main__":
    main()
