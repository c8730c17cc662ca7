"""What can be downloaded."""

from dataclasses import dataclass, field


@dataclass
class DownloadState:
    """`kinds` are the suffixes of the files that can be made of what was found."""

    kinds: list[str] = field(default_factory=list)
