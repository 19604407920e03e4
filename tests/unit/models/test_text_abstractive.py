"""Summaries of texts of any length by a model that reads a few words: what it is given, in how many parts, and what is said of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text.abstractive import abstract
from models.text.abstracts import SummaryRefusedError, Wishes
from models.text.asking import CountTokens, Write
from models.text.long_documents import Piece, chunks_of, cut_spans, extracted, part_budgets, salience
from tests.writing import WordModel, carried_out


def text_of(sentences, words=9):
    return " ".join(
        f"Sentence {number} speaks of topic{number % 7} and " + " ".join(["more"] * (words - 7)) + "."
        for number in range(sentences)
    )


def made(text, model=None, **wishes):
    return carried_out(abstract(text, Wishes(**wishes)), model or WordModel())


def test_a_short_text_is_read_whole_in_the_words_of_training():
    model = WordModel()
    found = made("It rained all day. He stayed in.", model)
    assert model.writes[0].prompts == ("summarize: It rained all day. He stayed in.",)
    assert (found.strategy, found.chunks, found.calls, found.text) == (
        "whole",
        1,
        1,
        "It rained all day. He stayed in.",
    )
    dialogue = WordModel()
    made("#Person1#: Hi. #Person2#: Bye.", dialogue, style="dialogue")
    assert dialogue.writes[0].prompts[0].startswith("Summarize the following dialogue: #Person1#: Hi.")


def test_every_token_is_counted_before_anything_is_written():
    model = WordModel()
    made(text_of(100), model, strategy="chunk_and_merge")
    kinds = [type(ask) for ask in model.asked]
    first = kinds.index(Write)
    counted = {text for ask in model.asked[:first] if isinstance(ask, CountTokens) for text in ask.texts}
    assert all(prompt.partition(": ")[2] in counted for prompt in model.writes[0].prompts)


def test_a_longer_text_is_extracted_first_in_its_order():
    model = WordModel()
    found = made(text_of(40), model)
    given = model.writes[0].prompts[0]
    numbers = [int(word) for word in given.split() if word.isdigit()]
    assert (found.strategy, found.calls, found.sentences_in_text) == ("extract_then_abstract", 1, 40)
    assert numbers == sorted(numbers)
    assert len(numbers) == found.kept_sentences < 40
    assert 80 < model.tokens(given) <= 120


def test_a_very_long_text_is_read_to_its_end_in_parts():
    model = WordModel()
    found = made(text_of(300), model, most_tokens=30)
    read = " ".join(model.writes[0].prompts)
    assert all(f"Sentence {number} " in read for number in range(300))
    assert found.strategy == "chunk_and_merge"
    assert found.chunks == len(model.writes[0].prompts) > 20
    assert found.rounds == len(model.writes) - 1 >= 1
    assert found.calls == sum(len(write.prompts) for write in model.writes)
    assert [write.stage for write in model.writes][:2] == ["summarizing parts", "merging"]
    assert len(model.writes[-1].prompts) == 1


def test_parts_that_say_more_may_have_longer_summaries():
    text = text_of(20) + " " + " ".join(["Well."] * 100) + " " + text_of(20)
    model = WordModel()
    made(text, model, strategy="chunk_and_merge", most_tokens=60)
    limits = dict(zip(model.writes[0].prompts, model.writes[0].most_tokens, strict=True))
    filler = [limit for prompt, limit in limits.items() if prompt.count("Well.") > 50]
    substance = [limit for prompt, limit in limits.items() if "Well." not in prompt]
    assert max(filler) < min(substance)


def test_a_sentence_longer_than_the_model_reads_is_cut():
    model = WordModel()
    found = made("word " * 1000, model)
    assert found.tokens_in_text == 1000
    assert found.strategy == "chunk_and_merge"
    solid = WordModel()
    solid.tokens = lambda text: len(text) + 1
    assert made("法" * 1000, solid, strategy="chunk_and_merge").chunks >= 10


def test_read_whole_where_it_does_not_fit_is_refused_with_both_numbers():
    with pytest.raises(SummaryRefusedError, match=r"800 tokens, the model reads 11\d at once") as refusal:
        made(text_of(100), strategy="whole")
    assert (refusal.value.code, refusal.value.field) == ("text-too-long", "strategy")


def test_a_model_that_reads_next_to_nothing_is_refused():
    with pytest.raises(SummaryRefusedError, match="leaves 37 for text") as refusal:
        made(text_of(100), WordModel(40))
    assert refusal.value.code == "window-too-small"


def test_an_empty_text_is_refused():
    with pytest.raises(SummaryRefusedError) as refusal:
        made(" \n ")
    assert refusal.value.code == "empty-text"


def test_a_length_in_words_becomes_tokens_and_is_kept():
    model = WordModel()
    found = made("One two three. Four five six. Seven eight nine ten.", model, max_words=7)
    assert model.writes[0].most_tokens == (13,)
    assert (found.text, found.words, found.warnings) == ("One two three. Four five six.", 6, [])
    assert made("One two three. Four five six. Seven eight nine ten.", ratio=0.35).words == 3


def test_a_first_sentence_longer_than_asked_is_kept_and_its_length_said():
    found = made("One two three four five six. Seven.", max_words=4)
    assert found.text == "One two three four five six."
    assert "6 words; 4 were asked for" in found.warnings[-1]


def test_a_length_beyond_the_text_is_said_and_one_beyond_the_model_refused():
    assert "not less than the text's own (3 words)" in made("One two three.", max_words=50).warnings[0]
    with pytest.raises(SummaryRefusedError) as refusal:
        made(text_of(1000, 20), strategy="chunk_and_merge", max_words=15_000)
    assert (refusal.value.code, refusal.value.field) == ("summary-too-long", "max_words")


def test_a_summary_that_was_cut_ends_with_a_whole_sentence():
    found = made("One two three. Four five six seven. Eight nine.", most_tokens=5)
    assert found.text == "One two three."
    assert "reached its length inside a sentence" in found.warnings[0]
    assert "before its sentence ended" in made("One two three four five six.", most_tokens=3).warnings[0]


def test_a_script_that_the_model_does_not_know_is_said():
    found = made("? ? ? known words ? ? here.")
    assert "knows no token for 5 of 11 pieces" in found.warnings[0]


def test_without_an_embedder_sentences_are_chosen_by_their_words():
    found = made(text_of(40), WordModel(embedder=False), salience="mmr")
    assert found.strategy == "extract_then_abstract"
    assert "chosen by lexrank" in found.warnings[0]
    assert made(text_of(40), salience="mmr").warnings == []


def test_a_model_that_writes_nothing_ends_and_says_so():
    model = WordModel()
    model.write = lambda _prompt, _most: WordModel().write("x: ", 1)
    found = made(text_of(200), model, strategy="chunk_and_merge")
    assert (found.text, found.warnings) == ("", ["The model wrote nothing."])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a.", "Bb cc.", "dd", "\n\n", "Ee ff gg hh.", "x" * 40, "法法。"]),
        min_size=1,
        max_size=400,
    ),
    st.sampled_from(["auto", "chunk_and_merge", "extract_then_abstract"]),
    st.integers(70, 200),
)
def test_no_prompt_is_ever_longer_than_the_model_reads(words, strategy, window):
    text = " ".join(words)
    if not text.strip():
        return
    found = made(text, WordModel(window), strategy=strategy)  # WordModel fails on a longer prompt
    assert found.calls >= 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(50, 100))
def test_chunks_hold_everything_once_and_nothing_too_long(tokens, most):
    runs = chunks_of([Piece(0, 0, count) for count in tokens], most)
    assert [place for first, end in runs for place in range(first, end)] == list(range(len(tokens)))
    assert all(sum(tokens[first:end]) <= most for first, end in runs)


@given(st.text("ab \n", min_size=2, max_size=500), st.integers(1, 40))
def test_cut_sentences_lose_no_character(text, most):
    parts = cut_spans(text, [(0, len(text))], [len(text)], most)
    assert "".join(text[start:end] for start, end in parts) == text


def test_salience_follows_what_a_text_keeps_speaking_of():
    found = salience(
        ["The court heard the appeal.", "The appeal went to the court.", "Lunch was served.", "..."]
    )
    assert found[0] > found[2] > found[3] == 0


def test_an_extract_of_a_text_in_blocks_comes_from_all_of_it():
    sentences = [f"Point {number} about appeals and courts{number % 50}." for number in range(2500)]
    chosen = extracted(sentences, [6] * 2500, 600, "lexrank", None)
    assert chosen == sorted(chosen)
    assert len(chosen) <= 100
    assert {place // 1000 for place in chosen} == {0, 1, 2}


def test_budgets_follow_salience_within_limits():
    assert part_budgets([1, 1, 2], 400, 1000) == [96, 96, 200]
    assert part_budgets([0, 0], 100, 1000) == [48, 48]
    assert part_budgets([1, 100], 1000, 200) == [24, 200]
