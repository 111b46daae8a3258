"""Curves, once: as SVG that stands in a page, and in the dots of Braille on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from cmat_env.look_html import text
from cmat_env.terminal import printable

_COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red")
_WIDTH, _HEIGHT = 460, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 26
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a Braille character, by row and column."""
_LABEL = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One curve.

    Attributes:
        name: for the legend.
        points: (x, y) in order; those that are not finite are left out.
        dotted: single measurements, drawn as dots.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    dotted: bool = False

    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in self.points if math.isfinite(x) and math.isfinite(y)]


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over the same axis.

    Attributes:
        title: what is measured, with its unit.
        across: what runs from left to right.
        lines: the curves.
        low, high: ends of the upright axis; None = those of the points.
    """

    title: str
    across: str
    lines: tuple[Line, ...]
    low: float | None = None
    high: float | None = None

    def bounds(self) -> tuple[float, float, float, float] | None:
        """Least x, greatest x, least y, greatest y, none of them the same; None if there is nothing to draw."""
        points = [point for line in self.lines for point in line.finite()]
        if not points:
            return None
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        low = min(y for _, y in points) if self.low is None else self.low
        high = max(y for _, y in points) if self.high is None else self.high
        if high <= low:
            pad = abs(low) * 0.1 or 1.0
            low, high = low - pad, low + pad
        return left, right if right > left else left + 1.0, low, high


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, at most `most`; their step is 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if _count(low, high, power * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round((first + place) * step, 12) for place in range(_count(low, high, step))]


def _count(low: float, high: float, step: float) -> int:
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1


def svg(chart: Chart) -> str:
    """The chart as a figure of a page: no script, no style of its own, its classes are those of `replay.css`."""
    bounds = chart.bounds()
    if bounds is None:
        return ""
    left, right, low, high = bounds
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        share = min(1.0, max(0.0, (y - low) / (high - low)))
        return round(_LEFT + across * (x - left) / (right - left), 1), round(_TOP + up * (1 - share), 1)

    parts = []
    for tick in ticks(low, high):
        y = at(left, tick)[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in ticks(left, right, 6):
        parts.append(f'<text x="{at(tick, low)[0]}" y="{_HEIGHT - 8}" text-anchor="middle">{tick:g}</text>')
    for place, line in enumerate(chart.lines):
        parts.extend(_drawn(line, f"s{place % len(_COLOURS)}", [at(x, y) for x, y in line.finite()]))
    legend = "".join(
        f'<span class="s{place % len(_COLOURS)}">{"●" if line.dotted else "━"} {text(line.name)}</span>'
        for place, line in enumerate(chart.lines)
    )
    return (
        f'<figure class="chart"><figcaption><b>{text(chart.title)}</b> by {text(chart.across)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(_words(chart))}">{"".join(parts)}</svg>'
        f"<p>{legend}</p></figure>"
    )


def _drawn(line: Line, style: str, places: Sequence[tuple[float, float]]) -> Iterator[str]:
    if not line.dotted and len(places) > 1:
        path = " ".join(f"{x},{y}" for x, y in places)
        yield f'<polyline class="{style}" points="{path}"/>'
        return
    for (x, y), (across, up) in zip(places, line.finite(), strict=True):
        yield f'<circle class="{style}" cx="{x}" cy="{y}" r="3.5"><title>{across:g}: {up:.4g}</title></circle>'


def _words(chart: Chart) -> str:
    """What the chart shows, for who does not see it."""
    ends = [
        f"{line.name} from {line.finite()[0][1]:.3g} to {line.finite()[-1][1]:.3g}"
        for line in chart.lines
        if line.finite()
    ]
    return f"{chart.title} by {chart.across}: {'; '.join(ends)}"


class Plot:
    """The chart on a terminal, as wide as it may be.

    Args:
        chart: what is drawn.
        height: in lines, without title.
    """

    def __init__(self, chart: Chart, *, height: int = 6) -> None:
        self._chart = chart
        self._height = height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title and legend, then the curves with the ends of the upright axis."""
        bounds = self._chart.bounds()
        if bounds is None:
            return
        title = Text(printable(self._chart.title), style="bold")
        for place, line in enumerate(self._chart.lines):
            colour = _COLOURS[place % len(_COLOURS)]
            last = f" {line.finite()[-1][1]:.3g}" if line.finite() else ""
            title.append(f"  {'●' if line.dotted else '━'} {printable(line.name)}{last}", style=colour)
        yield title
        width = options.max_width - _LABEL
        if width < 2:
            return
        left, right, low, high = bounds
        cells = self._cells(bounds, width)
        for row in range(self._height):
            label = {0: f"{high:.3g}", self._height - 1: f"{low:.3g}"}.get(row, "")
            shown = Text(f"{label:>{_LABEL - 2}} ┤", style="dim", no_wrap=True)
            for column in range(width):
                bits, colour = cells.get((row, column), (0, ""))
                shown.append(chr(0x2800 + bits) if bits else " ", style=colour)
            yield shown
        ends = f"{self._chart.across} {left:g}", f"{right:g}"
        gap = max(1, width - len(ends[0]) - len(ends[1]))
        yield Text(f"{' ' * _LABEL}{ends[0]}{' ' * gap}{ends[1]}", style="dim", no_wrap=True, overflow="crop")

    def _cells(self, bounds: tuple[float, float, float, float], width: int) -> dict[tuple[int, int], tuple[int, str]]:
        """By row and column: the dots of a character, and its colour."""
        left, right, low, high = bounds
        across, up = width * 2 - 1, self._height * 4 - 1
        cells: dict[tuple[int, int], tuple[int, str]] = {}
        for place, line in enumerate(self._chart.lines):
            colour = _COLOURS[place % len(_COLOURS)]
            dots = [
                (
                    round(across * (x - left) / (right - left)),
                    round(up * (1 - min(1.0, max(0.0, (y - low) / (high - low))))),
                )
                for x, y in line.finite()
            ]
            for x, y in dots if line.dotted else _joined(dots):
                at = y // 4, x // 2
                bits, _ = cells.get(at, (0, ""))
                cells[at] = bits | _DOTS[y % 4][x % 2], colour
        return cells


def _joined(dots: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """All dots on straight lines from each to the next."""
    yield from dots[:1]
    for (x0, y0), (x1, y1) in pairwise(dots):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        for step in range(1, steps + 1):
            yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
