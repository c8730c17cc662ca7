"""What the library says when something goes wrong, in the application's language where that was translated."""

import re
from functools import cache

from slicer.i18n import getContext, translate

from . import sentences

_PLACE = re.compile(r"\{(\d+)\}")
"""Where a sentence has what differs from time to time."""


def translated(sentence: str) -> str:
    """The sentence in the application's language; as it is where nobody translated it."""
    for template in sentences.SENTENCES:
        match = _pattern(template).fullmatch(sentence)
        if match:
            text = translate(getContext(sentences.__file__), template)
            return sentence if text == template else _filled(text, match.groups())
    return sentence


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Matches the sentences that a template stands for."""
    fixed = (re.escape(part.replace("{{", "{").replace("}}", "}")) for part in re.split(r"\{\d+\}", template))
    return re.compile("(.*?)".join(fixed), re.DOTALL)


def _filled(text: str, values: tuple[str, ...]) -> str:
    def value(place: re.Match[str]) -> str:
        number = int(place.group(1))
        return values[number - 1] if 0 < number <= len(values) else place.group()

    return _PLACE.sub(value, text).replace("{{", "{").replace("}}", "}")
