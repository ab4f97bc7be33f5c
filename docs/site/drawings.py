"""The drawings of the documentation: `python docs/site/drawings.py` writes them into docs/pictures.

Boxes, arrows and words on a paper of their own, with colours for light and dark surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

PICTURES = Path(__file__).parents[1] / "pictures"

_STYLE = """
  svg { font: 14px system-ui, sans-serif; color-scheme: light dark }
  .paper { fill: #ffffff } text { fill: #1f2328 } .quiet { fill: #59636e; font-size: 13px }
  .mono { font: 12.5px ui-monospace, monospace } .middle { text-anchor: middle } .bold { font-weight: 600 }
  .box { fill: #f6f8fa; stroke: #8c959f } .blue { fill: #ddf4ff; stroke: #0969da }
  .green { fill: #dafbe1; stroke: #1a7f37 }
  .amber { fill: #fff1e5; stroke: #bc4c00 } .group { fill: none; stroke: #8c959f; stroke-dasharray: 4 4 }
  .arrow { fill: none; stroke: #59636e; stroke-width: 1.5 } .head { fill: #59636e }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #f0f6fc } .quiet { fill: #9198a1 }
    .box { fill: #151b23; stroke: #656c76 } .blue { fill: #0c2d5e; stroke: #4493f8 }
    .green { fill: #0f2f1a; stroke: #3fb950 } .amber { fill: #3d1d06; stroke: #f0883e } .group { stroke: #656c76 }
    .arrow { stroke: #9198a1 } .head { fill: #9198a1 }
  }
"""


class Drawing:
    """A picture that grows by what is put on it; numbers are pixels from the upper left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto-start-reverse"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>',
            f'<rect class="paper" width="{width}" height="{height}" rx="6"/>',
        )
        self._parts: list[str] = []

    def box(self, x: int, y: int, width: int, height: int, *lines: str, kind: str = "box") -> None:
        """Draw a box with lines of text: the first in bold, others in a typewriter's letters."""
        self._parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        top = y + height / 2 - 9 * (len(lines) - 1) + 5
        for number, line in enumerate(lines):
            self.text(x + width // 2, top + 18 * number, line, "middle bold" if number == 0 else "middle mono")

    def text(self, x: float, y: float, text: str, kind: str = "quiet") -> None:
        """Write words, whose line stands on y."""
        self._parts.append(f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>')

    def arrow(self, *points: tuple[int, int]) -> None:
        """Draw a line through points with a head at its end."""
        path = " ".join(f"{x} {y}" for x, y in points)
        self._parts.append(f'<path class="arrow" d="M{path}" marker-end="url(#head)"/>')

    def svg(self) -> str:
        """Return the picture."""
        return "\n".join((*self._head, *self._parts, "</svg>")) + "\n"


def image() -> Drawing:
    """Draw what an image is."""
    draw = Drawing(760, 270, "An image: tags name a manifest, which lists a config and layers")
    draw.box(24, 40, 130, 40, "tag 1.4.2", kind="amber")
    draw.box(24, 100, 130, 40, "tag latest", kind="amber")
    draw.text(24, 168, "names: may be moved")
    draw.box(270, 60, 170, 60, "manifest", "sha256:9f90…", kind="blue")
    draw.text(270, 148, "the image: its digest is")
    draw.text(270, 166, "the name of these bytes")
    draw.arrow((154, 60), (268, 80))
    draw.arrow((154, 120), (268, 100))
    for y, name, digest in (
        (20, "config", "sha256:5f9f…"),
        (82, "layer 1", "sha256:dd51…"),
        (144, "layer 2", "sha256:71b0…"),
    ):
        draw.box(570, y, 166, 50, name, digest, kind="green")
        draw.arrow((440, 90), (505, 90), (568, y + 25))
    draw.text(570, 218, "blobs: sent once, shared by")
    draw.text(570, 236, "every image that lists them")
    draw.text(24, 250, "Everything but tags is named by its digest, and can never change.")
    return draw


def push() -> Drawing:
    """Draw the order of a push."""
    draw = Drawing(760, 330, "The steps of a push: ask for the image, send what is missing, children, then the tag")
    draw.box(24, 50, 150, 64, "1 there?", "HEAD manifest", kind="blue")
    draw.box(234, 50, 190, 190, "", kind="group")
    draw.text(329, 40, "several at once, largest first", "quiet middle")
    for y, name in ((64, "config"), (122, "layer 1"), (180, "layer 2")):
        draw.box(246, y, 166, 48, name, "ask, mount or send", kind="green")
    draw.text(234, 264, "2 blobs")
    draw.arrow((174, 82), (232, 82))
    draw.text(186, 72, "no")
    draw.box(476, 50, 112, 64, "3 children", "of an index", kind="blue")
    draw.arrow((424, 82), (474, 82))
    draw.box(630, 50, 106, 64, "4 tags", "PUT manifest", kind="amber")
    draw.arrow((588, 82), (628, 82))
    draw.arrow((99, 114), (99, 290), (683, 290), (683, 116))
    draw.text(110, 282, "yes: only tags are set")
    draw.text(442, 146, "A push that breaks before 4 has")
    draw.text(442, 164, "changed nothing that anybody pulls.")
    return draw


def blob() -> Drawing:
    """Draw how a blob travels."""
    draw = Drawing(760, 330, "One blob: asked for, mounted, or uploaded in parts; a break is followed by a question")
    draw.box(24, 40, 130, 56, "ask", "HEAD blob", kind="blue")
    draw.box(228, 40, 150, 56, "mount", "POST ?mount=…", kind="blue")
    draw.box(24, 160, 130, 56, "open", "POST", kind="box")
    draw.box(228, 160, 150, 56, "send a part", "PATCH", kind="box")
    draw.box(452, 160, 130, 56, "close", "PUT ?digest=…", kind="box")
    draw.box(646, 100, 90, 56, "done", kind="green")
    draw.box(228, 262, 150, 56, "how much?", "GET session", kind="amber")
    draw.arrow((154, 68), (226, 68))
    draw.text(160, 58, "missing")
    draw.arrow((303, 96), (303, 128), (89, 128), (89, 158))
    draw.text(160, 122, "no other has it")
    draw.arrow((378, 68), (691, 68), (691, 98))
    draw.text(420, 58, "linked from another repository")
    draw.arrow((89, 40), (89, 18), (718, 18), (718, 98))
    draw.text(170, 34, "there")
    draw.arrow((154, 188), (226, 188))
    draw.arrow((378, 188), (450, 188))
    draw.arrow((582, 188), (691, 188), (691, 158))
    draw.text(592, 180, "digest is right")
    draw.arrow((280, 216), (280, 260))
    draw.text(196, 244, "it breaks")
    draw.arrow((326, 262), (326, 218))
    draw.text(336, 244, "go on from there")
    draw.arrow((228, 290), (89, 290), (89, 218))
    draw.text(100, 282, "session lost")
    return draw


def fan_out() -> Drawing:
    """Draw one image on its way to several registries."""
    draw = Drawing(760, 250, "One image to two registries: read and compressed once")
    draw.box(24, 90, 140, 60, "source", "image.tar", kind="box")
    draw.box(232, 90, 150, 60, "layers", "compressed once", kind="blue")
    draw.arrow((164, 120), (230, 120))
    draw.box(460, 14, 276, 148, "", kind="group")
    draw.text(598, 34, "registry.example.com", "quiet middle")
    draw.box(480, 46, 236, 36, "team/app:1", kind="green")
    draw.box(480, 112, 236, 36, "mirror/app:1", kind="green")
    draw.arrow((598, 82), (598, 110))
    draw.text(610, 101, "mounted")
    draw.box(460, 176, 276, 66, "", kind="group")
    draw.text(598, 194, "other.example.com", "quiet middle")
    draw.box(480, 201, 236, 34, "team/app:1", kind="green")
    draw.arrow((382, 112), (430, 64), (478, 64))
    draw.arrow((382, 128), (430, 218), (478, 218))
    draw.text(24, 230, "Each target has a result of its own.")
    return draw


DRAWINGS: Mapping[str, Callable[[], Drawing]] = {"image": image, "push": push, "blob": blob, "fan-out": fan_out}

if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (PICTURES / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
