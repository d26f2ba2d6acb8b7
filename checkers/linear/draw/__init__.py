"""A verdict of the linearizability checker as a picture: `svg(verdict)` and `html(verdict, title)`.

Both are self-contained text: no font, script, style or image from anywhere else. Porcupine and Knossos set
the standard for such pictures. Files: `story` reads the verdict, `orders` finds the partial linearizations,
`axis` says where things are, `chart` and `page` write SVG and HTML, `words` has the phrases and the escaping.
"""

from checkers.linear.draw.chart import svg
from checkers.linear.draw.page import html

__all__ = ["html", "svg"]
