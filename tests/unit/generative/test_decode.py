"""Decoding from a running batch: each text is what transformers writes for its prompt alone, whoever it shares the batch with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from models.adapters.folder import AdapterInvalidError
from models.generative.decode.batch import Limits, RunningBatch
from models.generative.decode.causal import CausalSlots
from models.generative.decode.choice import Choice, Chooser, choose
from models.generative.decode.load import Writer, adapted, load_writer
from models.generative.decode.low_rank import read_low_rank
from models.generative.decode.sequence import Sequence
from tests.tiny_decoder import judgments
from tests.tiny_writer import (
    FAMILIES,
    TASKS,
    make_writer,
    make_writer_adapter,
    peft_model,
    said,
    transformers_model,
)

PROMPTS = judgments(14, seed=1, words=(1, 24))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("writers")
    return {family: make_writer(place / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def writers(folders: dict[str, Path]) -> dict[str, Writer]:
    return {family: load_writer(folder, family, CPU, torch.float32) for family, folder in folders.items()}


def sequence(
    writer: Writer, prompt: str, most: int, choice: Choice = Choice(), **rest: Any
) -> Sequence:  # frozen
    return Sequence(writer.wording.ids(prompt), writer.wording, choice, most, **rest)


def run(writer: Writer, sequences: list[Sequence], limits: Limits = Limits(4, 30)) -> RunningBatch:  # frozen
    batch = RunningBatch(writer.model, limits)
    for one in sequences:
        batch.add(one)
    while not batch.idle:
        batch.advance()
    return batch


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_prompt_of_a_mixed_batch_gets_what_transformers_writes_for_it_alone(
    folders: dict[str, Path], writers: dict[str, Writer], family: str, beams: int
) -> None:
    writer, model = writers[family], transformers_model(folders[family], family)
    asked = [sequence(writer, text, 3 + place, Choice(beams=beams)) for place, text in enumerate(PROMPTS)]
    run(writer, asked, Limits(4 * beams, 30))
    expected = [said(model, family, one.prompt, one.most, num_beams=beams) for one in asked]
    assert [one.tokens for one in asked] == expected
    assert len({tuple(tokens) for tokens in expected}) == len(PROMPTS)  # the model does say different things


def test_beams_and_single_sequences_share_a_batch(writers: dict[str, Writer]) -> None:
    writer = writers["gptj"]

    def mixed() -> list[Sequence]:
        return [
            sequence(writer, text, 9, Choice(beams=1 + place % 3)) for place, text in enumerate(PROMPTS[:8])
        ]

    together, alone = mixed(), mixed()
    run(writer, together, Limits(6, 20))
    for one in alone:
        run(writer, [one])
    assert [one.tokens for one in together] == [one.tokens for one in alone]


@pytest.mark.parametrize("options", [{"repetition_penalty": 1.4}, {"min_new_tokens": 12}])
@pytest.mark.parametrize(("family", "beams"), [("llama", 1), ("t5", 1), ("gptj", 2)])
def test_penalty_and_least_length_are_those_of_transformers(
    folders: dict[str, Path], writers: dict[str, Writer], family: str, beams: int, options: dict[str, Any]
) -> None:
    writer, model = writers[family], transformers_model(folders[family], family)
    choice = Choice(repetition_penalty=options.get("repetition_penalty", 1.0), min_tokens=options.get("min_new_tokens", 0), beams=beams)  # fmt: skip
    asked = [sequence(writer, text, 14, choice) for text in PROMPTS[:6]]
    run(writer, asked, Limits(8, 64))
    assert [one.tokens for one in asked] == [
        said(model, family, one.prompt, 14, num_beams=beams, **options) for one in asked
    ]
    assert all(one.count >= choice.min_tokens for one in asked)


def test_a_slot_that_is_free_is_taken_at_the_next_step(writers: dict[str, Writer]) -> None:
    writer = writers["t5"]  # it never ends a text by itself: lengths are as asked for
    lengths = [2, 30, 2, 2, 2, 30, 2, 2]
    asked = [
        sequence(writer, PROMPTS[place], most, Choice(min_tokens=most)) for place, most in enumerate(lengths)
    ]
    batch = run(writer, asked, Limits(3, 1000))
    assert [one.count for one in asked] == lengths
    assert batch.counted.steps < 35  # in groups of three, each as long as its longest, it would be 62
    assert batch.counted.rows == sum(lengths)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_gives_the_same_text_whoever_shares_the_batch(writers: dict[str, Writer], family: str) -> None:
    writer = writers[family]
    choices = [
        Choice(temperature=1.2, top_k=place % 3 * 10, top_p=1 - place % 4 * 0.1) for place in range(12)
    ]

    def drawn(places: list[int], limits: Limits) -> list[list[int]]:
        asked = [sequence(writer, PROMPTS[place], 15, choices[place], seed=place) for place in places]
        run(writer, asked, limits)
        return [one.tokens for one in asked]

    together = drawn(list(range(12)), Limits(5, 25))
    assert together == [drawn([place], Limits())[0] for place in range(12)]
    other = sequence(writer, PROMPTS[0], 15, choices[0], seed=99)
    run(writer, [other])
    assert other.tokens != together[0]


def test_people_who_wait_go_before_bulk(writers: dict[str, Writer]) -> None:
    writer = writers["llama"]
    batch = RunningBatch(writer.model, Limits(2, 10))
    bulk = [sequence(writer, PROMPTS[place], 6, bulk=True) for place in range(4)]
    for one in bulk:
        batch.add(one)
    batch.advance()
    person = sequence(writer, PROMPTS[9], 3)
    batch.add(person)
    order: list[Sequence] = []
    while not batch.idle:
        order += batch.advance()
    assert order.index(person) <= 1
    assert {id(one) for one in order} == {id(one) for one in (*bulk, person)}


def test_a_sequence_that_nobody_wants_gives_up_its_slot(writers: dict[str, Writer]) -> None:
    writer = writers["gptj"]
    batch = RunningBatch(writer.model, Limits(2, 100))
    asked = [sequence(writer, text, 30, Choice(min_tokens=30)) for text in PROMPTS[:3]]
    for one in asked:
        batch.add(one)
    batch.advance()
    asked[0].dropped = True
    assert batch.advance() == [asked[0]]
    while not batch.idle:
        batch.advance()
    alone = sequence(writer, PROMPTS[1], 30, Choice(min_tokens=30))
    run(writer, [alone])
    assert (asked[0].finish, asked[1].tokens) == (None, alone.tokens)


def test_memory_bounds_how_many_run_and_never_stops_the_last(writers: dict[str, Writer]) -> None:
    writer = writers["llama"]
    room = 2.5 * writer.model.cache_bytes(len(writer.wording.ids(PROMPTS[0])), 8)
    batch = RunningBatch(writer.model, Limits(8, 1000), lambda: room)
    asked = [sequence(writer, PROMPTS[0], 8, Choice(min_tokens=8)) for _ in range(5)]
    for one in asked:
        batch.add(one)
    while not batch.idle:
        batch.advance()
        assert batch.bytes <= room
    assert batch.counted.steps == 3 * 8
    wide = RunningBatch(writer.model, Limits(4, 1000), lambda: 4 * writer.model.cache_bytes(64, 64))
    long, short = sequence(writer, PROMPTS[0], 500), [sequence(writer, PROMPTS[0], 2) for _ in range(8)]
    for one in (long, *short):
        wide.add(one)
    while long.finish is None:
        wide.advance()
    assert wide.counted.rows == wide.counted.steps  # nobody else fits beside the long one …
    while not wide.idle:
        wide.advance()
    assert wide.counted.rows > wide.counted.steps  # … but together they do once it is done
    none = RunningBatch(writer.model, Limits(8, 1000), lambda: 0.0)
    none.add(again := sequence(writer, PROMPTS[0], 8))
    while not none.idle:
        none.advance()
    assert again.tokens == run_alone(writer, PROMPTS[0], 8)


def run_alone(writer: Writer, prompt: str, most: int) -> list[int]:
    one = sequence(writer, prompt, most)
    run(writer, [one])
    return one.tokens


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_writes_what_peft_writes_merged_or_beside_the_shared_base(
    folders: dict[str, Path], writers: dict[str, Writer], family: str, merge: bool, tmp_path: Path
) -> None:
    manifest = make_writer_adapter(tmp_path / "adapter", folders[family], family)
    tuned = adapted(writers[family], read_low_rank(tmp_path / "adapter"), manifest["reading"], merge=merge)
    assert tuned.own_bytes < tuned.bytes
    model = peft_model(folders[family], tmp_path / "adapter", family)
    asked = [sequence(tuned, text, 10) for text in PROMPTS[:6]]
    run(tuned, asked)
    expected = [said(model, family, one.prompt, 10) for one in asked]
    assert [one.tokens for one in asked] == expected
    assert expected != [run_alone(writers[family], text, 10) for text in PROMPTS[:6]]
    if family == "t5":
        assert tuned.wording.longest_input == 64
    assert TASKS[family] == tuned.wording.task


def test_an_adapter_of_another_shape_is_refused(
    folders: dict[str, Path], writers: dict[str, Writer], tmp_path: Path
) -> None:
    make_writer_adapter(tmp_path / "adapter", folders["gptj"], "gptj")
    with pytest.raises(KeyError, match="does not have"):
        adapted(writers["llama"], read_low_rank(tmp_path / "adapter"), {})
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace('"use_dora": false', '"use_dora": true'))
    with pytest.raises(AdapterInvalidError, match="use_dora"):
        read_low_rank(tmp_path / "adapter")


def test_an_answer_that_is_no_number_fails_its_own_text_alone(writers: dict[str, Writer]) -> None:
    writer = writers["gptj"]
    broken = writer.model.body.embeddings.clone()
    poison = int(writer.wording.ids("statute")[0])
    broken[poison] = float("nan")
    sick = replace(writer, model=replace(writer.model, body=replace(writer.model.body, embeddings=broken)))
    healthy = "the court held that a claim"
    ids = [sequence(sick, text, 5) for text in (healthy, "statute", healthy, healthy)]
    run(sick, ids, Limits(2, 4))
    assert ids[1].failure is not None
    assert ids[1].failure.code == "not-a-number"
    assert [one.tokens for one in (ids[0], *ids[2:])] == [run_alone(writer, healthy, 5)] * 3


def test_a_long_text_after_many_short_ones_takes_no_more_memory_than_it_needs(
    writers: dict[str, Writer],
) -> None:
    writer = writers["llama"]
    short, long = (
        writer.model.cache_bytes(64, 64),
        writer.model.cache_bytes(len(writer.wording.ids(PROMPTS[0])), 40),
    )
    room = 8.0 * short
    batch = RunningBatch(writer.model, Limits(8, 1000), lambda: room)
    for prompt in PROMPTS[:8]:
        batch.add(sequence(writer, prompt, 3, Choice(min_tokens=3)))
    batch.advance()
    batch.room = lambda: 1.0 * long  # other models' texts have come, and there is room for one
    batch.add(last := sequence(writer, PROMPTS[0], 40))
    while not batch.idle:
        batch.advance()
    assert batch.bytes <= 2 * long
    assert last.tokens == run_alone(writer, PROMPTS[0], 40)


def test_giving_up_gives_back_every_text_also_those_being_taken_in(
    writers: dict[str, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writers["llama"]
    batch = RunningBatch(writer.model, Limits(8, 1000))
    asked = [sequence(writer, prompt, 5) for prompt in PROMPTS[:3]]
    reserve = CausalSlots.reserve

    def full(self: CausalSlots, slots: int, prompt: int, most: int) -> None:
        if slots > 1:
            raise MemoryError
        reserve(self, 1, prompt, most)

    monkeypatch.setattr(CausalSlots, "reserve", full)
    for one in asked:
        batch.add(one)
    with pytest.raises(MemoryError):
        batch.advance()
    assert {id(one) for one in batch.abandon()} == {id(one) for one in asked}
    assert batch.idle


def test_a_temperature_near_nothing_takes_the_most_probable_token() -> None:
    logits = torch.tensor([[1.0, 90.0, 3.0, 80.0]])
    for temperature in (1e-45, 1e-38, 1e-6):
        chooser = Chooser(Choice(temperature=temperature), (), Random(3), [])
        assert choose(logits.clone(), [chooser], [0]) == [1]
