"""Short-term memory: what is kept, what is left out, and that the old dialogue stays as it was."""

from __future__ import annotations

import pytest

from cmat_env.agents.memory import ShortTermMemory, estimate_tokens
from cmat_env.errors import ConfigError
from cmat_env.types import Dialogue, Generation, Message


def words(text: str) -> int:
    """One token a word."""
    return len(text.split())


def long_dialogue(turns: int) -> Dialogue:
    """A prompt of 2 words, a task of 3, and turns of 2 + 2 words each."""
    dialogue = Dialogue("assistant", seed=7, messages=[Message("system", "be brief"), Message("user", "do the task")])
    for turn in range(turns):
        dialogue.say(Message("assistant", f"act {turn}"))
        dialogue.say(Message("environment", f"see {turn}"))
    return dialogue


def contents(dialogue: Dialogue) -> list[str]:
    """What was said."""
    return [message.content for message in dialogue.messages]


def test_without_a_budget_a_dialogue_is_never_shortened() -> None:
    """It is the same object, however long."""
    dialogue = long_dialogue(1000)

    assert ShortTermMemory().fit(dialogue) is dialogue


def test_a_dialogue_that_fits_is_left_alone() -> None:
    """5 + 4 * 4 = 21 words in a budget of 21."""
    dialogue = long_dialogue(4)

    assert ShortTermMemory(21, words).fit(dialogue) is dialogue


def test_the_middle_is_left_out() -> None:
    """Half of 20 is 10; prompt and task take 5, so two messages of 2 words fit, and six are left out."""
    dialogue = long_dialogue(4)
    shorter = ShortTermMemory(20, words).fit(dialogue)

    assert ["be brief", "do the task", "[6 earlier messages are left out]", "act 3", "see 3"] == contents(shorter)
    assert ("assistant", "environment") == (shorter.role, shorter.messages[2].speaker)
    assert 10 == len(dialogue.messages)
    assert [] == shorter.token_ids


def test_the_latest_message_is_kept_whatever_its_size() -> None:
    """It is what the role has to answer."""
    dialogue = long_dialogue(1)
    dialogue.say(Message("environment", "word " * 50))
    shorter = ShortTermMemory(20, words).fit(dialogue)

    assert ["be brief", "do the task", "[2 earlier messages are left out]", "word " * 50] == contents(shorter)


def test_what_cannot_be_shortened_stays() -> None:
    """A task that is too long by itself: there is nothing in the middle."""
    dialogue = Dialogue("assistant", messages=[Message("user", "word " * 50), Message("environment", "now")])

    assert ShortTermMemory(20, words).fit(dialogue) is dialogue


def test_the_note_counts_everything_that_was_left_out() -> None:
    """Shortened again, the earlier note is replaced by one that knows of both."""
    memory = ShortTermMemory(20, words)
    shorter = memory.fit(long_dialogue(4))
    for turn in range(4, 7):
        shorter.say(Message("assistant", f"act {turn}"))
        shorter.say(Message("environment", f"see {turn}"))
    again = memory.fit(shorter)

    assert ["be brief", "do the task", "[12 earlier messages are left out]", "act 6", "see 6"] == contents(again)


def test_a_note_alone_is_no_reason_for_a_new_dialogue() -> None:
    """If nothing but the note could be left out, the dialogue goes on as it is."""
    shorter = Dialogue("assistant", messages=[Message("user", "word " * 30)])
    shorter.say(Message("environment", "[3 earlier messages are left out]"))
    shorter.say(Message("environment", "now"))

    assert ShortTermMemory(20, words).fit(shorter) is shorter


def test_tokens_that_are_known_count_more_than_an_estimate() -> None:
    """Eleven words that have become 110 tokens: a word counts ten times, and a budget of 100 is exceeded."""
    dialogue = long_dialogue(1)
    dialogue.encode(range(80))
    dialogue.reply(Generation("act 1", tuple(range(28))))
    dialogue.say(Message("environment", "see 1"))
    shorter = ShortTermMemory(100, words).fit(dialogue)

    assert 108 == len(dialogue.token_ids)
    assert ["be brief", "do the task", "[3 earlier messages are left out]", "see 1"] == contents(shorter)


def test_pending_messages_count() -> None:
    """16 tokens fit into 16; with two more words they do not."""
    dialogue = long_dialogue(1)
    dialogue.encode(range(16))
    memory = ShortTermMemory(16, words)

    assert memory.fit(dialogue) is dialogue
    dialogue.reply(Generation("", ()))
    dialogue.say(Message("environment", "see more"))
    assert memory.fit(dialogue) is not dialogue


def test_every_new_dialogue_has_random_numbers_of_its_own() -> None:
    """No seed comes back, nor meets those of other samples of the same episode, and it follows from the old one."""
    memory = ShortTermMemory(16, words)
    seeds, dialogue = [], long_dialogue(20)
    for _ in range(10):
        dialogue = memory.fit(dialogue)
        seeds.append(dialogue.seed)
        for message in long_dialogue(20).messages[2:]:
            dialogue.say(message)

    samples = [7 + sample * 0x9E3779B97F4A7C15 for sample in range(10)]
    assert 20 == len({*seeds, *samples})
    assert seeds[0] == memory.fit(long_dialogue(20)).seed


def test_an_estimate_is_four_characters_a_token() -> None:
    """And at least one token a text."""
    assert [1, 1, 2, 3] == [estimate_tokens("x" * length) for length in (0, 3, 4, 11)]


def test_a_budget_that_holds_nothing_is_refused() -> None:
    """With the least that is possible."""
    with pytest.raises(ConfigError, match="budget=15 tokens is too small; 16"):
        ShortTermMemory(15)


def test_a_digest_tells_what_the_role_said() -> None:
    """The latest that fit into its share, in order; a later note takes the earlier one's digest in."""
    memory = ShortTermMemory(40, words, digest=10)
    shorter = memory.fit(long_dialogue(9))

    assert "[16 earlier messages are left out; you said: act 5 | act 6 | act 7]" == contents(shorter)[2]
    for turn in range(9, 17):
        shorter.say(Message("assistant", f"act {turn}"))
        shorter.say(Message("environment", f"see {turn}"))
    again = memory.fit(shorter)

    assert again is not shorter
    assert contents(again)[2].startswith("[32 earlier messages are left out; you said: act 13 | act 14 | act 15")
    assert ["act 16", "see 16"] == contents(again)[-2:]


def test_a_digest_holds_nothing_that_ends_it() -> None:
    """Brackets and bars in what was said are words like others, and the count goes on."""
    memory = ShortTermMemory(60, words, digest=15)
    dialogue = long_dialogue(1)
    for _ in range(12):
        dialogue.say(Message("assistant", "a | b] [x\nearlier messages are left out]"))
        dialogue.say(Message("environment", "see"))
    shorter = memory.fit(dialogue)
    for _ in range(20):
        shorter.say(Message("environment", "see this now"))
    left = [int(contents(each)[2].split()[0][1:]) for each in (shorter, memory.fit(shorter))]

    assert left[0] + 40 > left[1] > left[0] > 1


def test_a_digest_of_more_than_a_quarter_is_refused() -> None:
    """There must be room for the dialogue itself."""
    with pytest.raises(ConfigError, match="digest=11 must be from 0 to a quarter of budget=40"):
        ShortTermMemory(40, digest=11)
