"""Label Studio's labeling page, as annotators use it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.browser import Browser, Point
from tests.e2e.label_studio import LabelStudio
from tests.e2e.processes import wait_until

SETTLED_S = 0.5  # the page moves for a moment after a tool was chosen

_ROWS = """[...document.querySelectorAll('.lsf-outliner [role=treeitem]')].map(row => [
  Number(row.querySelector('.lsf-outliner-item__index').textContent),
  row.querySelector('.lsf-outliner-item__title').textContent.trim(),
  row.querySelectorAll('.lsf-tree-indent-unit').length])"""
_SCROLL = """() => { const list = document.querySelector('.lsf-tree-list-holder');
  const before = list.scrollTop; list.scrollTop += list.clientHeight / 2; return list.scrollTop > before; }"""
_FOLD = ".lsf-outliner .lsf-tree-switcher_close"
_IS_FOLDED = f"document.querySelector({_FOLD!r}) !== null"
_SELECTED_LABELS = (
    "[...document.querySelectorAll('.lsf-label_selected')].map(label => label.innerText.split('\\n')[0])"
)
_LABELS = "[...document.querySelectorAll('.lsf-label')]"
_ANNOTATION = "window.Htx.annotationStore.selected"
# What the mouse meets at a place of the canvas: the region's id without the annotation's, and the vertex, if it is one.
_HITS = """places => places.map(([x, y]) => {
  const stage = window.Htx.annotationStore.selected.objects.find(tag => tag.type === 'image').stageRef;
  const shape = stage.getIntersection({x, y});
  let vertex = null;
  for (let node = shape; node; node = node.getParent()) {
    const name = node.name();
    if (/^point-\\d+$/.test(name)) vertex = Number(name.slice(6));
    const region = window.Htx.annotationStore.selected.regions.find(one => name.split(' ')[0] === one.id);
    if (region) return [region.cleanId, vertex];
  }
  return null;
})"""


@dataclass(frozen=True)
class Row:
    """A row of the region panel."""

    number: int
    label: str
    depth: int


class LabelingPage:
    """A task, open in the browser."""

    def __init__(self, browser: Browser, label_studio: LabelStudio, project: int, task: int) -> None:
        self.browser = browser
        self.task = task
        self._label_studio = label_studio
        # As a new annotator begins: the editor keeps the tool that was chosen last, and its key would let go of it.
        browser.evaluate("localStorage.removeItem('selected-tool:image')")
        browser.open(f"{label_studio.url}/projects/{project}/data?task={task}")
        browser.place(".konvajs-content canvas")
        browser.place(".lsf-label")
        # The picture has its place when it is loaded; frames are loaded by a script.
        browser.wait_for("""document.querySelector('img[src*=upload], img[src^="blob:"]')?.complete""")
        time.sleep(2 * SETTLED_S)  # what is pressed while regions are drawn is lost

    def region_rows(self) -> list[Row]:
        """Read the region panel from its top to its end; only the rows in view are in the page at a time."""
        self.browser.place(".lsf-outliner [role=treeitem]")
        # What was accepted just now is folded; a fold that opens moves the others.
        while self.browser.evaluate(_IS_FOLDED):
            self.browser.click(_FOLD)
            time.sleep(0.2)
        self.browser.evaluate("document.querySelector('.lsf-tree-list-holder').scrollTop = 0")
        rows: dict[int, Row] = {}
        more = True
        while more:
            for number, label, depth in self.browser.evaluate(_ROWS):
                rows[number] = Row(number, label, depth)
            more = self.browser.evaluate(f"({_SCROLL})()")
            time.sleep(0.05)
        for number, label, depth in self.browser.evaluate(_ROWS):
            rows[number] = Row(number, label, depth)
        return [rows[number] for number in sorted(rows)]

    def place(self, percent: Point) -> Point:
        """Where a point of the picture, in percent, is on the page."""
        canvas = self.browser.place(".konvajs-content canvas")
        return (
            canvas["x"] + canvas["width"] * percent[0] / 100,
            canvas["y"] + canvas["height"] * percent[1] / 100,
        )

    def regions(self) -> list[dict[str, Any]]:
        """The regions as submitting would store them."""
        return self.browser.evaluate(f"JSON.parse(JSON.stringify({_ANNOTATION}.serializeAnnotation()))")

    def selected(self) -> list[str]:
        """Ids of the selected regions."""
        return self.browser.evaluate(f"{_ANNOTATION}.selectedRegions.map(region => region.cleanId)")

    def hits(self, places: Sequence[Point]) -> list[tuple[str, int | None] | None]:
        """What clicks at places, in percent, meet: a region's id and, of bones, the vertex; None: the picture."""
        canvas = self.browser.place(".konvajs-content canvas")
        pixels = [(canvas["width"] * x / 100, canvas["height"] * y / 100) for x, y in places]
        met = [
            one
            for n in range(0, len(pixels), 100)
            for one in self.browser.evaluate(_HITS, pixels[n : n + 100])
        ]
        return [None if one is None else (one[0], one[1]) for one in met]

    def press(self, key: str, *, holding: str = "") -> None:
        """Press a key, and wait for what it does."""
        self.browser.press(key, holding=holding)
        time.sleep(SETTLED_S)

    def drag(self, start: Point, end: Point) -> None:
        """Drag with the mouse, in percent of the picture."""
        self.browser.drag(self.place(start), self.place(end))
        time.sleep(SETTLED_S)

    def click_row(self, number: int, *, holding: str = "") -> None:
        """Click a row of the region panel that is in view."""
        row = self.browser.place(".lsf-outliner [role=treeitem] .lsf-outliner-item__index", str(number))
        self.browser.click_at((row["x"] + row["width"] / 2, row["y"] + row["height"] / 2), holding=holding)
        time.sleep(SETTLED_S)

    def next_frame(self) -> None:
        """Go on to the next of several pictures, and wait until it is loaded."""
        shown = "document.querySelector('img[src^=\"blob:\"]')?.src"
        before = self.browser.evaluate(shown)
        self.browser.click(".lsf-pagination__btn_arrow-right")
        self.browser.wait_for(f"before => {shown} !== before", before)
        time.sleep(SETTLED_S)

    def switch_auto_annotation_on(self) -> None:
        toggle = "[data-testid=bottombar-auto-annotation-toggle]"
        self.browser.wait_for("selector => document.querySelector(selector) !== null", toggle)
        if not self.browser.evaluate("selector => document.querySelector(selector).checked", toggle):
            self.browser.click(toggle)
        # While a switch has the focus, the page hears no keys.
        self.browser.evaluate("document.activeElement.blur()")
        self.browser.place(".lsf-tool_smart")
        time.sleep(SETTLED_S)

    def switch_auto_accept(self, *, on: bool) -> None:
        """Set "Auto-Accept Suggestions"."""
        toggle = "[data-testid=bottombar-auto-accept-toggle]"
        self.browser.wait_for("selector => document.querySelector(selector) !== null", toggle)
        if self.browser.evaluate("selector => document.querySelector(selector).checked", toggle) != on:
            self.browser.click(toggle)
        time.sleep(SETTLED_S)

    def choose(self, tool: str, label: str) -> None:
        """Choose a smart tool (`rectangle-tool`, `key-point-tool`) from the menu beside it, and then a label."""
        # At the lower edge of the page, it would lie under the bar.
        self.browser.evaluate("document.querySelector('.lsf-tool_smart').scrollIntoView({block: 'center'})")
        smart = self.browser.place(".lsf-tool_smart")
        self.browser.point_at((smart["x"] + smart["width"] / 2, smart["y"] + smart["height"] / 2))
        self.browser.click(f".lsf-tool_smart[aria-label={tool}]")
        self._choose_label(label)

    def _choose_label(self, label: str) -> None:
        time.sleep(SETTLED_S)
        if label not in self.browser.evaluate(_SELECTED_LABELS):
            index = self.browser.evaluate(
                f"label => {_LABELS}.findIndex(one => one.innerText.split('\\n')[0] === label)", label
            )
            assert index >= 0, f"no label {label}"
            self.browser.evaluate(f"index => {_LABELS}[index].dataset.chosen = ''", index)
            self.browser.click(".lsf-label[data-chosen]")
            self.browser.evaluate(f"index => delete {_LABELS}[index].dataset.chosen", index)
        self.browser.wait_for(f"label => {_SELECTED_LABELS}.includes(label)", label, limit_s=5)
        time.sleep(SETTLED_S)

    def draw_by_hand(self, tool: str, label: str, corner: Point, opposite: Point) -> None:
        """Draw with a tool that asks no model."""
        self.browser.click(f".lsf-tool:not(.lsf-tool_smart)[aria-label={tool}]")
        self._choose_label(label)
        self.draw_rectangle(corner, opposite)
        time.sleep(SETTLED_S)

    def draw_rectangle(self, corner: Point, opposite: Point) -> None:
        """Draw with the mouse from corner to corner, in percent of the picture."""
        self.browser.drag(self.place(corner), self.place(opposite))

    def click(self, point: Point, *, holding: str = "") -> None:
        self.browser.click_at(self.place(point), holding=holding)

    def suggestions(self) -> int:
        """Wait for suggestions, and return how many there are."""
        self.browser.place("[data-testid=bottombar-accept-suggestions-button]")
        time.sleep(SETTLED_S)
        return self.browser.evaluate("Number(document.body.innerText.match(/(\\d+) suggestions?/)?.[1] ?? 0)")

    def accept_suggestions(self) -> None:
        self.browser.click("[data-testid=bottombar-accept-suggestions-button]")
        self.browser.wait_for(
            "document.querySelector('[data-testid=bottombar-accept-suggestions-button]') === null"
        )
        time.sleep(SETTLED_S)

    def submit(self) -> None:
        self.browser.click("[data-testid=bottombar-submit-button]")
        wait_until(lambda: bool(self._label_studio.annotations(self.task)), 30, "the annotation is stored")
