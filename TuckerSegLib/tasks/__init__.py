"""TotalSegmentator's tasks on a volume in memory: the same steps, the same labels, at any level of compression."""

from .any import segment_any
from .segment import TaskResult, segment_task

__all__ = ["TaskResult", "segment_any", "segment_task"]
