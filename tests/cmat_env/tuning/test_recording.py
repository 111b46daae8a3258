"""Recorded training episodes: each token has the credit that the update gave it, and replay spells and shows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cmat_env import registry
from cmat_env.credit import TokenCredit
from cmat_env.errors import LogError
from cmat_env.forking import fork
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.log_lines import EpisodeRecord
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.spec import parse_spec
from cmat_env.replay_html import write_html
from cmat_env.replay_tokens import finder, lens, summary, tokens_of
from cmat_env.replay_view import whole
from cmat_env.rollout import Episode, Rollout
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.folder import TRAINING
from cmat_env.tuning.recording import EPISODES, credit_of, record
from cmat_env.tuning.settings import TunerSettings
from cmat_env.tuning.tuner import Tuner
from cmat_env.types import Message, Trajectory

ROLES = ("assistant", "checker")
MakePolicy = Callable[..., HFPolicy]
PlayTeam = Callable[..., list[Trajectory]]


def updated(policy: HFPolicy, trajectories: list[Trajectory], **settings: object) -> Tuner:
    """A tuner after one update."""
    chosen = TunerSettings(**{"learning_rate": 0.01, "value_warmup": 0, "minibatch": 0} | settings)  # type: ignore[arg-type]
    tuner = Tuner(policy, ROLES, chosen)
    tuner.update(trajectories)
    return tuner


@pytest.fixture
def logged(make_policy: MakePolicy, play_team: PlayTeam, tmp_path: Path) -> Path:
    """A run folder with the episodes of one update, and the model's tokenizer where the log says it is."""
    policy = make_policy()
    trajectories = play_team(policy, episodes=3)
    tuner = updated(policy, trajectories)
    policy.chat.tokenizer.save_pretrained(tmp_path / "warm_start")
    model = "hf:/moved/away/warm_start"
    with EpisodeWriter(tmp_path / "episodes.jsonl", policies=dict.fromkeys(ROLES, model)) as log:
        for trajectory, credit in zip(trajectories, credit_of(tuner, trajectories, range(3)), strict=True):
            log.write(trajectory, credit=credit)
    return tmp_path


def test_every_written_token_has_its_credit(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """One entry a token of each reply; ratios are those of the weights after the update, advantages the tuner's own."""
    policy = make_policy()
    trajectories = play_team(policy, episodes=4)
    tuner = updated(policy, trajectories)
    credits = credit_of(tuner, trajectories, [2, 0])

    for episode, credit in zip((2, 0), credits, strict=True):
        steps = [step for step in trajectories[episode].steps if step.generation.token_ids]
        assert [step.index for step in steps] == sorted(credit)
        assert [len(step.generation.token_ids or ()) for step in steps] == [len(credit[s.index].ratios) for s in steps]
        for role in ROLES:
            mine = [credit[step.index] for step in steps if step.role == role]
            flat = [advantage for each in mine for advantage in each.advantages]
            assert tuner.latest[role][1].advantages[episode][: len(flat)].tolist() == flat
        assert all(all(each.trained) for each in credit.values())
    assert any(abs(ratio - 1) > 1e-3 for credit in credits for each in credit.values() for ratio in each.ratios)


def test_ratios_are_one_where_nothing_was_learned(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """At learning rate 0, before and after are the same weights."""
    policy = make_policy()
    trajectories = play_team(policy, episodes=2)
    tuner = updated(policy, trajectories, learning_rate=0.0)
    ratios = [r for credit in credit_of(tuner, trajectories, [0, 1]) for each in credit.values() for r in each.ratios]

    assert max(abs(ratio - 1) for ratio in ratios) < 1e-5


def test_tokens_that_an_algorithm_leaves_out_are_not_marked(make_policy: MakePolicy, play_team: PlayTeam) -> None:
    """Filtered imitation learns from what succeeded alone."""
    policy = make_policy()
    trajectories = [replace(t, success=i == 0) for i, t in enumerate(play_team(policy, episodes=2))]
    tuner = updated(policy, trajectories, algorithm="filtered_bc")
    solved, failed = credit_of(tuner, trajectories, [0, 1])

    assert all(all(each.trained) for each in solved.values())
    assert not any(any(each.trained) for each in failed.values())


def test_recordings_come_at_their_turn(make_policy: MakePolicy, play_team: PlayTeam, tmp_path: Path) -> None:
    """Every second iteration and the last, or never."""
    policy = make_policy()
    trajectories = play_team(policy, episodes=EPISODES + 2)
    tuner = updated(policy, trajectories)
    settings = RunSettings(iterations=4, record_every=2)
    for iteration in (1, 2, 3, 4):
        tuner.iteration = iteration
        record(tmp_path, tuner, trajectories, settings)
    found = [known.notes["iteration"] for known in read_episodes(tmp_path / TRAINING)]

    assert [1] * EPISODES + [3] * EPISODES + [4] * EPISODES == found
    size = (tmp_path / TRAINING).stat().st_size
    record(tmp_path, tuner, trajectories, replace(settings, record_every=0))
    assert size == (tmp_path / TRAINING).stat().st_size


def test_credit_is_read_as_it_was_written(logged: Path) -> None:
    """There and back through JSON, also numbers that JSON lacks."""
    [first, *_] = read_episodes(logged)
    odd = {0: TokenCredit((math.inf, -1.5), (1.0, math.inf), (True, False))}
    with EpisodeWriter(logged / "odd.jsonl") as log:
        log.write(first.trajectory, credit=odd)
    [again] = read_episodes(logged / "odd.jsonl")

    assert first.credit
    assert odd == again.credit
    with pytest.raises(ValueError, match="one of each a token"):
        TokenCredit((1.0,), (), (True,))


def test_a_mask_can_be_read_off_the_tokens(logged: Path) -> None:
    """All tokens of a dialogue, in order and once, spelled by the tokenizer that lies beside the log."""
    [first, *_] = read_episodes(logged)
    find = finder(logged / "episodes.jsonl")
    for role in ROLES:
        [dialogue] = first.trajectory.dialogues[role]
        mine = [i for i, step in enumerate(first.trajectory.steps) if step.role == role]
        tokens = [token for index in mine for token in find(first, index)]
        assert list(range(dialogue.turns[-1][1])) == [token.place for token in tokens]
        assert dialogue.token_ids[: len(tokens)] == [token.token_id for token in tokens]
        assert dialogue.action_mask[: len(tokens)] == [token.written for token in tokens]
        assert dialogue.action_mask[: len(tokens)] == [token.trained for token in tokens]
        text = "".join(token.text for token in tokens)
        assert text.startswith("<|user|>")
        assert text.count("<|assistant|>") >= len(mine)
    assert f"{sum(t.written for t in find(first, 0))} written" in summary(find(first, 0))


def test_without_a_tokenizer_the_ids_are_shown(logged: Path) -> None:
    """A policy that is nowhere to be found, or hides its tokens."""
    [first, *_] = read_episodes(logged)
    elsewhere = finder(logged / "x" / "episodes.jsonl")(first, 0)

    assert {f"<{token.token_id}>" for token in elsewhere} == {token.text for token in elsewhere}
    hidden = replace(first.trajectory.steps[0].generation, token_ids=None, logprobs=None)
    steps = (replace(first.trajectory.steps[0], generation=hidden), *first.trajectory.steps[1:])
    changed = replace(first, trajectory=replace(first.trajectory, steps=steps))
    assert [] == tokens_of(changed, 0, lambda ids: [""] * len(ids))


@pytest.mark.parametrize("width", [1, 8, 20, 60, 140])
def test_the_terminal_shows_figures_at_any_width(logged: Path, width: int) -> None:
    """Log-probability, ratio, advantage and mark of each token; shades where there is colour; never an exception."""
    [first, *_] = read_episodes(logged)
    screen = StringIO()
    console = Console(file=screen, width=width, force_terminal=True, color_system="truecolor")
    for part in whole(first, number=1, lens=lens(logged / "episodes.jsonl")):
        console.print(part)
    shown = screen.getvalue()

    assert "\x1b[" in shown
    if width >= 60:
        written = sum(len(step.generation.token_ids or ()) for step in first.trajectory.steps)
        credit = first.credit[0]
        assert written == shown.count("●")
        assert f"{credit.ratios[0]:.3f}" in shown
        assert f"{credit.advantages[0]:+.2f}" in shown


class _Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e\" onmouseover='x' &amp;"


def hostile(record: EpisodeRecord) -> EpisodeRecord:
    """The same episode, with markup in every place that a stranger writes to."""
    episode = record.trajectory
    steps = tuple(
        replace(
            step,
            observation={"message": EVIL, "speaker": step.observation["speaker"]},
            generation=replace(step.generation, text=EVIL),
        )
        for step in episode.steps
    )
    changed = replace(episode, steps=steps, task_id=EVIL, task_type=EVIL, outcome=EVIL, env_id=EVIL)
    changed.dialogues["assistant"][0].say(Message("user", EVIL))
    return replace(record, trajectory=changed, policies=dict.fromkeys(ROLES, EVIL), notes={EVIL: EVIL})


def test_a_page_holds_text_alone(logged: Path) -> None:
    """No script, request, inline style or handler, whatever a model, a task or a policy is called."""
    [first, *_] = read_episodes(logged)
    page = logged / "new" / "page.html"
    evil = [EVIL]
    count = write_html(
        [hostile(first)], page, title=EVIL, tokens=lambda r, i: tokens_of(r, i, lambda ids: evil * len(ids))
    )
    parsed = _Tags()
    parsed.feed(page.read_text(encoding="utf-8"))

    assert 1 == count
    assert not {"script", "img", "a", "link", "iframe", "form", "object", "svg"} & {tag for tag, _ in parsed.found}
    names = {name for _, attributes in parsed.found for name in attributes}
    assert names <= {
        *("lang", "charset", "http-equiv", "content", "name", "class", "title", "type", "id", "checked", "open"),
    }
    assert not set("".join(parsed.text)) & set("\x1b\u202e")
    [policy] = [a["content"] for tag, a in parsed.found if tag == "meta" and "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_a_page_shows_every_fact(logged: Path) -> None:
    """Words, verdicts, payments, figures of every token; episodes in order; written whole or not at all."""
    records = list(read_episodes(logged))
    page = logged / "page.html"
    assert 3 == write_html(iter(records), page, title="a", tokens=finder(logged / "episodes.jsonl"))
    text = page.read_text(encoding="utf-8")
    written = sum(len(s.generation.token_ids or ()) for r in records for s in r.trajectory.steps)

    assert written == text.count("<td>●</tr>")
    assert [1, 2, 3] == [n for n in range(1, 5) if f"<b>episode {n}</b>" in text]
    assert f"ratio {records[0].credit[0].ratios[0]:.3f}" in text
    assert [] == list(logged.glob("*.partial"))
    with pytest.raises(LogError, match="cannot be written"):
        write_html(iter(records), page / "x.html", title="a")


def test_a_browser_shows_the_shades(logged: Path, photograph: Callable[..., Any]) -> None:
    """Debian's Chromium applies the style sheet that the page's own policy allows: green and red tokens are seen."""
    page = logged / "page.html"
    write_html(read_episodes(logged), page, title="tokens", tokens=finder(logged / "episodes.jsonl"))

    red, green, blue = torch.from_numpy(photograph(page, 900, 1600)).unbind(-1)
    assert int(((green - red > 0.2) & (green - blue > 0.1)).sum()) > 200
    assert int(((red - green > 0.2) & (red - blue > 0.2)).sum()) > 200


def test_a_fork_with_the_same_model_goes_on_from_its_own_tokens(make_policy: MakePolicy, tmp_path: Path) -> None:
    """The same greedy model gives the same episode, token for token; another policy is given the words alone."""
    make_policy(adapter="shared").save(tmp_path / "model")
    team = {"assistant": f"hf:{tmp_path / 'model'}", "checker": "coin:0.5"}
    settings: dict[str, Any] = {"roles": tuple(team), "max_rounds": 3}
    players = {role: parse_spec(spec, role=role) for role, spec in team.items()}
    rollout = Rollout(lambda: registry.make("test/Guess-v0", **settings), players, width=1)
    with EpisodeWriter(tmp_path / "log.jsonl", policies=team, settings=settings) as log:
        log.write(rollout.run([Episode(1)]).finished[0])
    [played] = read_episodes(tmp_path / "log.jsonl")
    same, _ = fork(played, 4, {})
    other, _ = fork(played, 4, {"assistant": "random"})

    assert len(played.trajectory.steps) > 4
    before, after = ([step.generation for step in steps] for steps in (played.trajectory.steps, same.steps))
    assert [(g.text, g.token_ids) for g in before] == [(g.text, g.token_ids) for g in after]
    for one, two in zip(before, after, strict=True):  # rounding: what is cached while playing is encoded in one go here
        assert (one.logprobs or ()) == pytest.approx(two.logprobs or (), abs=1e-4)
    assert played.trajectory.dialogues["assistant"][0].token_ids == same.dialogues["assistant"][0].token_ids
    assert [] == other.dialogues["assistant"][0].token_ids
