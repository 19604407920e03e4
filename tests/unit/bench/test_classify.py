"""The bench of reading speed: arms that agree on a tiny model, texts of both distributions, arithmetic counted right."""

import csv

import numpy as np
import pytest
import torch

from bench.classify import as_table
from bench.classify_models import (
    agreement,
    labels_of,
    ours,
    ours_from_texts,
    pipeline_arm,
    plain_model,
    texts_of,
    windows_of,
    work_gflop,
)
from models.encoder.load import load_encoder
from tests.tiny_encoder import make_encoder, synthetic_letters


@pytest.fixture(scope="module", params=["bert", "roberta", "distilbert"])
def encoder(request, tmp_path_factory):
    folder = make_encoder(tmp_path_factory.mktemp("speed") / request.param, request.param)
    return load_encoder(folder, "cpu", torch.float32)


def test_every_arm_gives_the_same_means(encoder):
    texts = [*synthetic_letters(20)[0], "the judge"]
    windows = windows_of(encoder, texts, len(texts))
    expected = ours(encoder, windows, False, 64).means
    plain = plain_model(encoder)
    for found in (
        ours(encoder, windows, True, 64),
        ours_from_texts(encoder, texts, True, 512),
        pipeline_arm(encoder, plain, texts, ordered=False, batch=4)(),
        pipeline_arm(encoder, plain, texts, ordered=True, batch=4)(),
    ):
        np.testing.assert_allclose(found.means, expected, atol=2e-6)


def test_work_is_that_of_the_windows_own_tokens(encoder):
    windows = windows_of(encoder, ["the judge", "the judge was in court"], 2)
    tokens, hidden, inner, layers = windows.tokens, 32, 64, 2
    linears = layers * (4 * hidden * hidden + 2 * hidden * inner)
    attention = 4 * hidden * layers * int((windows.lengths**2).sum())
    assert work_gflop(encoder, windows) == pytest.approx((2 * linears * tokens + attention) / 1e9)


def test_texts_are_paragraphs_or_of_the_length_of_letters(tmp_path):
    folder = tmp_path / "echr_arguments"
    folder.mkdir()
    with (folder / "paragraphs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text"])
        rows.writerows([number, f"paragraph {number} " + "of the court " * 9] for number in range(200))
    paragraphs = texts_of("echr", tmp_path, 30)
    assert len(set(paragraphs)) == 30
    letters = texts_of("letters", tmp_path, 30)
    assert all(160 <= len(text.split()) <= 240 for text in letters)
    assert texts_of("echr", tmp_path / "elsewhere", 30) is None


def test_the_table_shows_ratios_and_why_arms_are_left_out():
    found = {
        "model": "m", "dtype": "float32", "lengths": "echr", "texts": 10, "tokens": 1000, "gflop": 50.0, "peaks_gflops": [90.0, 100.0],
        "threads": 2, "arms": [
            {"arm": "ours flat 512", "from": "ids", "seconds": 1.0, "cpu_seconds": 2.0, "off": 0.0},
            {"arm": "engine", "from": "ids", "seconds": 2.0, "cpu_seconds": 2.0, "off": 1e-6},
            {"arm": "other", "skipped": "not here"},
        ],
    }  # fmt: skip
    ours_row, engine_row, other_row = as_table(found).splitlines()[3:]
    assert ours_row.split()[3:] == ["10.0", "1000", "1.00", "2.00", "50", "1.00", "0.0e+00"]
    assert engine_row.split()[-2:] == ["2.00", "1.0e-06"]
    assert "left out: not here" in other_row


def test_agreement_is_whole_for_equal_means_and_less_for_others(tmp_path):
    draw = np.random.default_rng(0)
    means = draw.normal(size=(80, 6)).astype(np.float32)
    labels = (means[:, :2] > 0).astype(np.int8)
    assert agreement(means, means, labels)["same_labels"] == 1.0
    noisy = agreement(means, means + draw.normal(size=means.shape).astype(np.float32), labels)
    assert noisy["same_labels"] < 0.95
    assert noisy["probability_off_most"] >= noisy["probability_off_99"] > 0.1


def test_labels_are_the_columns_of_the_experts(tmp_path):
    folder = tmp_path / "echr_arguments"
    folder.mkdir()
    (folder / "paragraphs.csv").write_text(
        "id,case,split,text,one,two\n1,a,train,first,0,1\n2,a,train,second,1,0\n"
    )
    assert labels_of(tmp_path, ["second", "first"]).tolist() == [[1, 0], [0, 1]]
    assert labels_of(tmp_path, ["elsewhere"]) is None
