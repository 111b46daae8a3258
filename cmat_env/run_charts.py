"""The curves of a run: what its metrics say by iteration, or how success went on in its log."""

from __future__ import annotations

from cmat_env.charts import Chart, Line
from cmat_env.run_log import RunLog
from cmat_env.tuning.curve import smooth

FIGURES = {
    "return": "return",
    "loss": "loss",
    "value_loss": "value loss",
    "kl_per_sequence": "KL/episode",
    "kl_beta": "KL weight",
    "clip_fraction": "clipped",
    "margin": "margin",
    "entropy": "entropy",
    "tokens_per_episode": "tokens",
    "tokens_per_turn": "tokens/turn",
}
"""What is shown of a role's figures in metrics.jsonl, and what it is called where there is little room."""
_TITLES = {
    "return": "return, an episode",
    "kl_per_sequence": "KL to the base, nats an episode",
    "clip_fraction": "share of clipped tokens",
    "entropy": "entropy, nats a token",
    "tokens_per_episode": "tokens written, an episode",
    "tokens_per_turn": "tokens written, a turn",
    "kl_beta": "weight of the KL",
}
_WINDOW, _EPISODES = 5, 20


def success(run: RunLog) -> Chart:
    """Success while training with the evaluations, or the running mean over an evaluation's episodes."""
    if not run.metrics:
        lines = [
            Line(tally.name, tuple(enumerate(smooth([float(row.success) for row in tally.rows], _EPISODES), start=1)))
            for tally in run.groups
        ]
        return Chart(f"success, mean of {_EPISODES} episodes", "episode", tuple(lines), 0.0, 1.0)
    at = [float(line["iteration"]) for line in run.metrics]
    sampled = smooth([line["success"] for line in run.metrics], _WINDOW)
    found = [Line(f"training, sampled, mean of {_WINDOW}", tuple(zip(at, sampled, strict=True)))]
    names = dict.fromkeys(name for line in run.metrics for name in line.get("evaluation", {}))
    for name in names:
        points = [(float(line["iteration"]), line.get("evaluation", {}).get(name)) for line in run.metrics]
        found.append(Line(name, tuple((x, y) for x, y in points if y is not None), dotted=True))
    ends = (("before tuning", 0.0), ("after tuning", at[-1]))
    rates = [(x, run.tallies[name].score.success_rate) for name, x in ends if name in run.tallies]
    if rates:
        known = tuple((x, rate) for x, rate in rates if rate is not None)
        found.append(Line("team, greedy, before and after", known, dotted=True))
    return Chart("success", "iteration", tuple(found), 0.0, 1.0)


def figures(run: RunLog) -> list[Chart]:
    """A chart a figure of the roles, with a line a role."""
    charts = []
    for figure, name in FIGURES.items():
        lines = []
        for role in dict.fromkeys(role for line in run.metrics for role in line["roles"]):
            points = [(line["iteration"], line["roles"].get(role, {}).get(figure)) for line in run.metrics]
            known = tuple((float(x), float(y)) for x, y in points if isinstance(y, int | float))
            lines += [Line(role, known)] if known else []
        if lines:
            charts.append(Chart(_TITLES.get(figure, name), "iteration", tuple(lines)))
    return charts
