"""The report of a run as one page that needs nothing beside it: curves, results, failures, ledger, a few episodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmat_env.charts import svg
from cmat_env.html_page import write_page
from cmat_env.log_lines import EpisodeRecord
from cmat_env.look_html import text
from cmat_env.replay_html import FILTERS, episode_of
from cmat_env.run_charts import figures, success
from cmat_env.run_log import RunLog
from cmat_env.run_tables import settings, tables
from cmat_env.tables import table_html


def write_report(run: RunLog, to: Path, *, title: str, episodes: int = 4) -> None:
    """Write the page.

    Args:
        run: what is reported on.
        to: the page's file.
        title: of the page.
        episodes: how many are shown in full, failures first.

    Raises:
        LogError: the page cannot be written.
    """
    write_page(to, title=title, parts=_parts(run, title, episodes))


def stage(run: RunLog) -> str:
    """How far the run is, in words."""
    recorded = sum(len(tally.rows) for tally in run.tallies.values())
    if run.has_ended:
        done = f"ended after {len(run.metrics)} iterations" if run.is_training else "ended"
    elif not run.is_training:
        done = "going on"
    elif not run.metrics:
        done = "before the first iteration"
    else:
        done = f"iteration {run.metrics[-1]['iteration']}" + (f" of {run.iterations}" if run.iterations else "")
    return f"{done}, {recorded} episodes recorded"


def _parts(run: RunLog, title: str, episodes: int) -> Iterator[str]:
    yield f"<header><h1>{text(title)}</h1><p class=note>{text(stage(run))}</p></header><main>"
    yield from (f"<p class=alarm>{text(alarm['role'])}: {text(alarm['text'])}</p>" for alarm in run.alarms)
    yield f"<div class=charts>{svg(success(run))}{''.join(map(svg, figures(run)))}</div>"
    yield from map(table_html, tables(run))
    shown = chosen(run, episodes)
    if shown:
        yield f"<h2>Episodes</h2><nav>{FILTERS}</nav>"
    for number, record in shown:
        yield from episode_of(record, number=number)
    yield f"<details class=settings><summary>settings</summary>{table_html(settings(run))}</details></main>"


def chosen(run: RunLog, most: int) -> list[tuple[int, EpisodeRecord]]:
    """The latest episodes of the latest group, those that failed before those that were solved."""
    if not run.latest:
        return []
    tally = run.tallies[run.latest[-1][0]]
    failed, solved = list(tally.failed), list(tally.solved)
    half = most - min(len(solved), most // 2)
    first = failed[-half:] if half else []
    rest = most - len(first)
    return first + (solved[-rest:] if rest else [])
