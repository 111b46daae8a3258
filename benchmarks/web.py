"""Figures of the web tasks, written into docs/web.md, and its screenshots.

Run:  .venv/bin/python -m benchmarks.web            all figures
      .venv/bin/python -m benchmarks.web --only speed search
      .venv/bin/python -m benchmarks.web --screenshots

Parts: speed, search, policies, style, pages, browser. The others keep what they said before.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cmat_env
from benchmarks import report
from cmat_env.envs.web.pages import WebPagesEnv
from cmat_env.envs.web.search import open_engine, query_terms
from cmat_env.envs.web.shop import WebShopEnv, generate_catalogue, generate_goal
from cmat_env.evaluate import evaluate
from cmat_env.policies.shopper import FirstResult, RandomReader

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "web.md"
HUMAN = ROOT.parent / "shared" / "agentbench" / "web" / "webshop_human_goals.json"
START = (
    "import time; t = time.perf_counter(); import cmat_env; from cmat_env.registry import make_task; "
    "e = make_task('cmat/WebShop-v0'); e.reset(seed=0); seconds, used = time.perf_counter() - t, time.process_time(); "
    "[(e.reset(seed=s), [e.step(a) for a in e.solution()]) for s in range(300)]; "
    "from benchmarks.report import peak_megabytes; print(seconds, used, peak_megabytes())"
)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--screenshots", action="store_true", help="make the pictures of docs/web.md, and nothing else")
    arguments = parser.parse_args()
    if arguments.screenshots:
        screenshots()
        return
    for name in arguments.only:
        lines = PARTS[name]()
        load = " / ".join(f"{value:.1f}" for value in os.getloadavg())
        lines.append(f"\nLoad average (1, 5, 15 minutes) when it ended: {load}, on {os.cpu_count()} cores.")
        print("\n".join(lines), flush=True)
        report.write(name, "\n".join(lines), DOCS)


def speed() -> list[str]:
    """In process: start, memory, resets and steps."""
    runs = [subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True) for _ in range(5)]
    rows = [[float(value) for value in run.stdout.split()] for run in runs]
    env, plans = WebShopEnv("generated:heldout"), []
    engine: Any = env.shop.catalogue.engine
    for seed in range(1_000):
        env.reset(seed=seed)
        plans.append(env.solution())
    wall, cpu, resets = [], [], []
    for _ in range(5):
        engine.search.cache_clear()
        engine._scores.cache_clear()
        gc.collect()
        steps, begun, used, in_resets = 0, time.perf_counter(), time.process_time(), 0.0
        for seed, plan in enumerate(plans):
            at = time.process_time()
            env.reset(seed=seed)
            in_resets += time.process_time() - at
            for action in plan:
                env.step(action)
            steps += len(plan)
        wall.append(steps / (time.perf_counter() - begun))
        cpu.append((steps / (time.process_time() - used - in_resets), steps / (time.process_time() - used)))
        resets.append(in_resets / len(plans) * 1e3)
    starts, used_to_start, peaks = zip(*rows, strict=True)
    measures = (
        ("start: import, shop, index, first page: processor time", used_to_start, "{:.2f} s", min),
        ("start, wall time", starts, "{:.2f} s", min),
        ("peak memory after 300 episodes", peaks, "{:.0f} MB", min),
        ("reset, processor time", resets, "{:.2f} ms", min),
        ("steps a second of processor time", [pair[0] for pair in cpu], "{:,.0f}", max),
        ("the same, resets included", [pair[1] for pair in cpu], "{:,.0f}", max),
        ("steps a second of wall time, resets included", wall, "{:,.0f}", max),
    )
    return [
        "| in process, text mode, 1,000 products | median | best |",
        "|---|---|---|",
        *(
            f"| {name} | {form.format(statistics.median(values))} | {form.format(best(values))} |"
            for name, values, form, best in measures
        ),
        "",
        f"{len(plans):,} solutions of held-out goals ({statistics.mean(map(len, plans)):.1f} steps each, one of them a "
        "search), five times, each time beginning without a remembered search or word.",
    ]


def search() -> list[str]:
    """Latency of each engine by the size of the shop."""
    lines = ["| products | engine | index | p50 | p95 |", "|---|---|---|---|---|"]
    for count in (1_000, 5_000, 50_000):
        catalogue = generate_catalogue("dev", products=count, seed=0, search="tantivy" if count > 5_000 else "fts5")
        documents = [(product.id, product.searched_text) for product in catalogue.products]
        queries = [query_terms(generate_goal("dev", catalogue, seed=seed).instruction) for seed in range(200)]
        for name in ("fts5", "tantivy"):
            begun = time.perf_counter()
            engine = open_engine(documents, name=name)
            index = time.perf_counter() - begun
            engine.search(queries[0], 50)
            times = []
            for terms in queries[1:]:
                begun = time.perf_counter()
                engine.search(terms, 50)
                times.append((time.perf_counter() - begun) * 1e3)
            engine.close()
            p95 = statistics.quantiles(times, n=20)[-1]
            lines.append(f"| {count:,} | {name} | {index:.2f} s | {statistics.median(times):.2f} ms | {p95:.2f} ms |")
    return [*lines, "", "200 instructions as queries, each once; wall time of the best 50."]


def policies() -> list[str]:
    """What customers without a model earn on held-out goals."""
    known: dict[str, Any] = {
        "gold: the solution": "gold",
        "first result: search for the instruction, take the first, choose the options it names, buy": FirstResult(),
        "the same random clicks, but searches for words of the instruction (`RandomReader`)": RandomReader(),
        "random (`--assistant random`): any available action, searches for two random goods": "random",
    }
    make = functools.partial(cmat_env.make, "cmat/WebShop-v0", roles=("assistant",), tasks="generated:heldout")
    lines = ["| policy, 2,000 held-out goals | mean reward | reward 1 |", "|---|---|---|"]
    for name, policy in known.items():
        report = evaluate(make, {"assistant": policy}, episodes=2_000)
        lines.append(f"| {name} | {report.total.mean_reward or 0:.3f} | {report.total.success_rate or 0:.1%} |")
    return lines


def style() -> list[str]:
    """Generated instructions beside those of people."""
    catalogue = generate_catalogue("train", products=1_000, seed=0)
    goals = [generate_goal("train", catalogue, seed=seed) for seed in range(5_000)]
    texts = {"generated": [goal.instruction for goal in goals]}
    if HUMAN.is_file():
        texts["human (WebShop, 11,587)"] = json.loads(HUMAN.read_text(encoding="utf-8"))
    measures: dict[str, Callable[[list[str]], str]] = {
        "words, median": lambda rows: f"{statistics.median(len(row.split()) for row in rows):.0f}",
        "words, 10th to 90th percentile": lambda rows: _deciles([len(row.split()) for row in rows]),
        "different words": lambda rows: f"{len({word for row in rows[:5_000] for word in row.split()}):,}",
        "different first three words": lambda rows: f"{len({' '.join(row.split()[:3]) for row in rows[:5_000]}):,}",
        "said twice": lambda rows: f"{1 - len(set(rows)) / len(rows):.1%}",
        "names a colour": lambda rows: _share(rows, r"\b(black|white|red|blue|green|pink|gray|grey|brown|teal|navy)\b"),
        "names a size": lambda rows: _share(rows, r"\b(size|small|medium|large|x+l|\dx|pack|ounces?|oz|inch(es)?)\b"),
        "names a price": lambda rows: _share(rows, r"\$|dollars"),
        "more than one sentence": lambda rows: _share(rows, r"[.?!] \w"),
    }
    lines = [f"| | {' | '.join(texts)} |", "|---|" + "---|" * len(texts)]
    lines += [f"| {name} | {' | '.join(map(measure, texts.values()))} |" for name, measure in measures.items()]
    attributes, options = (
        statistics.mean(len(getattr(goal, each)) for goal in goals) for each in ("attributes", "options")
    )
    unlimited = statistics.mean(math.isinf(goal.price_upper) for goal in goals)
    return [
        *lines,
        "",
        f"A generated goal wants {attributes:.1f} attributes and {options:.1f} options on average. Upstream appends "
        "a price clause to every human text when it loads it; here it is part of the wording, and "
        f"{unlimited:.0%} have none. Counts of different words are those of the first 5,000 texts.",
    ]


def _deciles(values: list[int]) -> str:
    tens = statistics.quantiles(values, n=10)
    return f"{tens[0]:.0f} to {tens[-1]:.0f}"


def _share(rows: list[str], pattern: str) -> str:
    found = re.compile(pattern, re.IGNORECASE)
    return f"{sum(bool(found.search(row)) for row in rows) / len(rows):.0%}"


def pages() -> list[str]:
    """Steps on pages of our own making."""
    steps = len(WebPagesEnv("generated:heldout").task_ids)
    lines = [
        f"| {steps} held-out steps | step success | element | action F1 | right element reachable |",
        "|---" * 5 + "|",
    ]
    for ranking in ("all", "bm25"):
        for name in ("gold", "random letter"):
            env = WebPagesEnv("generated:heldout", ranking=ranking)
            rows = []
            for task in range(len(env.task_ids)):
                env.reset(seed=task, options={"task": task})
                rng, plan = random.Random(task), iter(env.solution())
                over = False
                while not over:
                    letter = rng.choice("ABCDEF")
                    action = next(plan) if name == "gold" else f"Answer: {letter}.\nAction: CLICK"
                    *_, terminated, truncated, info = env.step(action)
                    over = terminated or truncated
                rows.append(info["metrics"] | {"step": info["success"]})
            parts = ("step", "element", "action_f1", "reachable")
            cells = [statistics.mean(float(row[part]) for row in rows) for part in parts]
            lines.append(f"| {name}, ranking={ranking} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return lines


def browser() -> list[str]:
    """Steps a second in Chromium, and in the way that BrowserGym observes after each action."""
    env = WebShopEnv("generated:heldout", browser=True)
    begun = time.perf_counter()
    env.reset(seed=0)
    first = time.perf_counter() - begun
    ours, resets, theirs = [], [], []
    for seed in range(8):
        begun = time.perf_counter()
        env.reset(seed=seed)
        resets.append(time.perf_counter() - begun)
        for action in env.solution():
            begun = time.perf_counter()
            env.step(action)
            ours.append(time.perf_counter() - begun)
    env.reset(seed=1)
    surface: Any = env.surface
    for _ in range(8):
        theirs.append(surface._chromium.call(lambda browser: _as_browsergym(surface._tab, surface.address)))
    env.close()
    return [
        "| in Chromium | p50 | a second |",
        "|---|---|---|",
        f"| start: browser, server, first page | {first * 1e3:.0f} ms | |",
        f"| reset | {statistics.median(resets) * 1e3:.0f} ms | {1 / statistics.median(resets):.1f} |",
        f"| step, text mode | {statistics.median(ours) * 1e3:.0f} ms | {1 / statistics.median(ours):.1f} |",
        f"| step, BrowserGym's way | {statistics.median(theirs) * 1e3:.0f} ms | {1 / statistics.median(theirs):.1f} |",
        "",
        "BrowserGym's way, re-enacted on the same pages with the same Chromium: a click by locator, waiting for the "
        "page and then half a second (its `pre_observation_delay`), a screenshot, a DOM snapshot and the accessibility "
        "tree. BrowserGym itself pins an old Playwright; measured before on a machine of this kind it took 833 ms a "
        "step and 2.9 s a reset.",
    ]


def _as_browsergym(tab: Any, address: str) -> float:
    """Seconds of one step: go to a page of results, click the second product, observe."""
    tab.goto(f"{address}search?q=coffee&page=1")
    begun = time.perf_counter()
    tab.locator("a.product").nth(1).click()
    tab.wait_for_load_state("domcontentloaded")
    tab.wait_for_timeout(500)
    session = tab.context.new_cdp_session(tab)
    session.send("Page.captureScreenshot")
    shown = {"computedStyles": [], "includeDOMRects": True, "includePaintOrder": True}
    session.send("DOMSnapshot.captureSnapshot", shown)
    session.send("Accessibility.getFullAXTree")
    session.detach()
    return time.perf_counter() - begun


def screenshots() -> None:
    """A page of results and an item, as a person sees them."""
    env = WebShopEnv("generated:heldout", browser=True)
    env.reset(seed=5)
    surface: Any = env.surface
    actions = env.solution()
    for action, name in ((actions[0], "results"), (actions[1], None), (actions[2], "item")):
        env.step(action)
        if name:
            target = DOCS.parent / f"web-{name}.png"
            target.write_bytes(surface.screenshot())
            print(f"{target}: {target.stat().st_size / 1e3:.0f} kB")
    env.close()


PARTS = {part.__name__: part for part in (speed, search, policies, style, pages, browser)}

if __name__ == "__main__":
    main()
