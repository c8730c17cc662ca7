"""Weights that the user agreed to download, to unpack or to remove: the worker does so, and the application goes on."""

from pathlib import Path

from TuckerSegLib.worker.client import Client

from .run import Step, Steps


def download(client: Client, task: str, licence_number: str | None) -> Steps:
    """The task's networks, from where TotalSegmentator publishes them."""
    return (yield Step(client.call("weights_install", task=task, licence_number=licence_number), title=task))


def unpack(client: Client, archive: Path) -> Steps:
    """An archive that came from another computer, into TotalSegmentator's folder of weights."""
    return (yield Step(client.call("weights_import", archive=str(archive)), title=archive.name))


def remove(client: Client, task: str) -> Steps:
    """The task's networks from the disk; gives the bytes that were freed."""
    return (yield Step(client.call("weights_remove", task=task)))["freed"]
