"""Draws TuckerSeg.png, 128 pixels square, from TuckerSeg.svg beside it."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

HERE = Path(__file__).resolve().parent


def draw(pixels: int, path: Path) -> None:
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(HERE / "TuckerSeg.svg")).render(painter)
    painter.end()
    image.save(str(path))


if __name__ == "__main__":
    draw(128, HERE / "TuckerSeg.png")
