"""What the library says when something goes wrong can be translated in the panel: its table has every such sentence.

Run as a program, this file writes the table anew.
"""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicerhost
from support.panel import part
from support.paths import ROOT

from TuckerSegLib.errors import InputError

TABLE = ROOT / "TuckerSeg" / "TuckerSegPanel" / "words" / "sentences.py"

ROOMS = ("engines", "inference", "models", "segmentation", "worker", "decomposition")
"""What the worker runs for the panel; it reads and writes no image files."""

FILES = ("memory_limit.py", "volumes/scene.py", "volumes/structures.py", "volumes/volume.py", "volumes/modality.py")

ERRORS = {"InputError", "ModelError", "WorkerError", "NotEnoughMemory", "Cancelled", "OutputError", "WeightsError"}

HEAD = '''"""The library's sentences about errors, for translators; written by `Testing/panel/test_sentences.py`."""


def _(text: str) -> str:
    """Marks what is to be translated, as 3D Slicer's own function of this name does; leaves it as it is."""
    return text


# fmt: off
SENTENCES = (
'''


def sources() -> list[Path]:
    library = ROOT / "TuckerSegLib"
    rooms = [path for room in ROOMS for path in sorted((library / room).rglob("*.py"))]
    return [*rooms, *(library / file for file in FILES)]


def sentences() -> list[str]:
    """With {1}, {2} and so on for what differs from time to time; each once."""
    return list(dict.fromkeys(text for path in sources() for text in _raised(path)))


def _raised(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "of":
            function = function.value
        if isinstance(function, ast.Name) and function.id in ERRORS and node.args:
            text = _template(node.args[-1])
            if text:
                yield text


def _template(node: ast.expr) -> str:
    """Empty where it is no text that a translator could do anything with."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if not isinstance(node, ast.JoinedStr):
        return ""
    text, count = "", 0
    for piece in node.values:
        if isinstance(piece, ast.Constant):
            text += str(piece.value).replace("{", "{{").replace("}", "}}")
        else:
            count += 1
            text += f"{{{count}}}"
    return text if any(word.isalpha() for word in text.split()) else ""


def table() -> str:
    lines = []
    for sentence in sentences():
        parts = textwrap.wrap(sentence, 100, drop_whitespace=False, break_long_words=False, break_on_hyphens=False)
        if len(parts) == 1:
            lines.append(f"    _({_quoted(parts[0])}),")
        else:
            lines += ["    _(", *(f"        {_quoted(part)}" for part in parts), "    ),"]
    return HEAD + "\n".join(lines) + "\n)\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if '"' not in text else repr(text)


def test_table_has_every_sentence() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), "run Testing/panel/test_sentences.py as a program"


@pytest.fixture
def german(panel: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel's errors in a language that a translator has done two sentences of."""
    done = {
        "There is no model {1}: {2}": "Ein Modell {1} gibt es nicht: {2}",
        "There is no engine {1}: choose one of {2}.": "{2} stehen zur Wahl, {1} nicht.",
    }
    errors = part("words.errors")
    monkeypatch.setattr(errors, "translate", lambda _context, text: done.get(text, text))
    return errors


@pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())
class TestTranslation:
    def test_sentence_is_translated_with_what_it_is_about(self, german: Any) -> None:
        assert german.translated("There is no model lung: did you mean lungs?") == (
            "Ein Modell lung gibt es nicht: did you mean lungs?"
        )
        assert german.translated("There is no engine x: choose one of auto, torch.") == (
            "auto, torch stehen zur Wahl, x nicht."
        )

    def test_what_nobody_translated_stays(self, german: Any) -> None:
        for sentence in (
            "The cache's size limit cannot be negative: choose 0 or more.",
            "No sentence of ours",
            "50 %{",
        ):
            assert german.translated(sentence) == sentence

    def test_panel_shows_the_translation(self, host: Any, panel: Any, german: Any) -> None:
        panel.widget.panel.runs.report(InputError("There is no engine x: choose one of auto."))
        assert host.dialogs[-1].text == "auto stehen zur Wahl, x nicht."
        assert panel.ui.statusLabel.text == "auto stehen zur Wahl, x nicht."


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
