"""Damage of the kinds that disks, transfers and malice do to files, the same for the same seed."""

import copy
import json
import random
from pathlib import Path
from typing import Any

EXTREMES = (
    b"0",
    b"-1",
    b"99999999999999999999",
    b"1e30",
    b"nan",
    b"-inf",
    b"",
    b"\xff\xff\xff\x7f",
    b"%s%n",
    b"/etc/passwd",
)

VALUES: tuple[Any, ...] = (
    0,
    -1,
    1e30,
    10**20,
    2.5,
    float("nan"),
    "abc",
    "",
    None,
    True,
    [],
    {},
    [0, 0, 1],
    [[1] * 9],
    "../x",
)
"""What may stand in JSON in place of what belongs there."""


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four changes of bytes."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(changed) or 1), chance.choice((1, 2, 4, 8, 40))
        kind = chance.randrange(6)
        if kind == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            changed[place : place + length] = chance.randbytes(length)
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = changed[chance.randrange(len(changed) or 1) :][:length]
        elif kind == 4:
            extreme = chance.choice(EXTREMES)
            changed[place : place + len(extreme)] = extreme
        else:
            del changed[place:]
        changed = changed or bytearray(b"x")
    return bytes(changed)


def mutated_json(content: Any, chance: random.Random) -> Any:
    """The decoded JSON with one to three of its values replaced, removed or renamed."""
    changed = json.loads(json.dumps(content))
    for _ in range(chance.randint(1, 3)):
        place, key = _place(changed, chance)
        kind = chance.randrange(4)
        if kind == 0 and isinstance(place, dict):
            place[chance.choice(("abc", "", "0", "../x"))] = place.pop(key)
        elif kind == 1:
            del place[key]
        else:
            place[key] = copy.deepcopy(chance.choice(VALUES))
        if not changed:
            break
    return changed


def mutate_file(path: Path, chance: random.Random) -> None:
    """Change a file's bytes or, in half of the cases where it holds JSON, its values."""
    content = path.read_bytes()
    if path.suffix == ".json" and chance.random() < 0.5:
        path.write_text(json.dumps(mutated_json(json.loads(content), chance)))
    else:
        path.write_bytes(mutated(content, chance))


def _place(content: Any, chance: random.Random) -> tuple[Any, Any]:
    """A container somewhere within, and one of its keys."""
    place, key = content, chance.choice(list(content) if isinstance(content, dict) else range(len(content)))
    while isinstance(place[key], dict | list) and place[key] and chance.random() < 0.8:
        place = place[key]
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
    return place, key
