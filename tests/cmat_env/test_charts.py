"""Charts: every measurement is where its figures say, on a page and on a terminal of any width."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from io import StringIO

import pytest
from rich.console import Console

from cmat_env.charts import Chart, Line, Plot, svg, ticks


def chart(*lines: Line) -> Chart:
    """From 0 to 1."""
    return Chart("success", "iteration", lines, 0.0, 1.0)


RISING = Line("<b>training</b>", ((1.0, 0.0), (2.0, math.nan), (3.0, 0.5), (5.0, 1.0)))
MEASURED = Line("evaluation", ((1.0, 0.25), (5.0, math.inf)), dotted=True)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.5, 1.0]),
        (1.0, 30.0, [10.0, 20.0, 30.0]),
        (-0.02, 0.04, [-0.02, 0.0, 0.02, 0.04]),
        (5.97, 5.98, [5.97, 5.975, 5.98]),
        (0.0, 3e6, [0.0, 1e6, 2e6, 3e6]),
    ],
)
def test_ticks_are_round_and_within(low: float, high: float, expected: list[float]) -> None:
    """At most five, their step 1, 2 or 5 times a power of ten."""
    assert expected == ticks(low, high)


def test_a_figure_of_a_page_is_well_formed_and_true_to_scale() -> None:
    """Lines and dots lie where their values say; what is not finite is left out; names are text."""
    figure = ET.fromstring(svg(chart(RISING, MEASURED)))
    [polyline] = figure.iter("polyline")
    [circle] = figure.iter("circle")
    points = [tuple(map(float, point.split(","))) for point in polyline.attrib["points"].split()]
    grid = {float(line.attrib["y1"]) for line in figure.iter("line")}
    (left, bottom), (middle, halfway), (right, top) = points

    assert {top, halfway, bottom} == grid
    assert (left + right) / 2 == middle
    assert (left, bottom - (bottom - top) / 4) == (float(circle.attrib["cx"]), float(circle.attrib["cy"]))
    assert ["━ <b>training</b>", "● evaluation"] == [span.text for span in figure.iter("span")]
    assert "1: 0.25" == circle[0].text
    assert "<b>training</b> from 0 to 1" in next(figure.iter("svg")).attrib["aria-label"]


@pytest.mark.parametrize("line", [Line("none", ()), Line("nan", ((1.0, math.nan),))])
def test_nothing_to_draw_is_no_chart(line: Line) -> None:
    """Neither on a page nor on a terminal."""
    assert "" == svg(chart(line))
    assert "" == drawn(chart(line), 40)


def test_one_value_again_and_again_can_be_drawn() -> None:
    """Without ends of its own, the axis reaches around it; a single point is a dot."""
    same = Chart("x", "y", (Line("same", ((1.0, 3.0), (2.0, 3.0))), Line("one", ((2.0, 3.0),))))
    figure = ET.fromstring(svg(same))

    assert 1 == len(list(figure.iter("circle")))
    top, *middle, bottom = [row for row in drawn(same, 40).splitlines() if "┤" in row]
    assert re.search(r"[\u2801-\u28ff]{30}", "".join(middle))
    assert not re.search(r"[\u2801-\u28ff]", top + bottom)


def drawn(what: Chart, width: int) -> str:
    """A screen without colour."""
    screen = StringIO()
    Console(file=screen, width=width, color_system=None).print(Plot(what, height=4))
    return screen.getvalue()


@pytest.mark.parametrize("width", [1, 5, 10, 12, 40, 200])
def test_a_terminal_of_any_width_is_drawn_on(width: int) -> None:
    """No line is wider than it; the curve goes from the lower left to the upper right corner."""
    shown = drawn(chart(RISING), width).splitlines()

    assert [] == [line for line in shown if len(line) > width]
    if width >= 40:
        rows = [line for line in shown if "┤" in line]
        assert [(0, "1"), (3, "0")] == [
            (i, row.split("┤")[0].strip()) for i, row in enumerate(rows) if row.split("┤")[0].strip()
        ]
        assert re.fullmatch(r"[\u2801-\u28ff].*", rows[-1].split("┤")[1])
        assert re.fullmatch(r".*[\u2801-\u28ff]", rows[0].split("┤")[1])
        assert shown[-1].split() == ["iteration", "1", "5"]
        assert "training" in shown[0]
