"""What the page shows of the image."""

from dataclasses import dataclass, field


@dataclass
class ImageState:
    """`busy` and `error` are sentences, empty where there is nothing to say; `choices` are series to choose from."""

    title: str = ""
    details: str = ""
    busy: str = ""
    sent: float = 0.0
    error: str = ""
    choices: list[str] = field(default_factory=list)
    choosing: bool = False
