"""Token ids of corpora are kept: the second reading tokenizes nothing, and whatever changes the ids changes the file's name."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.encoder.load import Encoder, load_encoder
from tests.tiny_encoder import make_encoder, synthetic_letters
from workers.inference import token_cache
from workers.inference.base_reader import token_windows
from workers.inference.token_cache import TokenCache, remove_unused
from workers.inference.work import TextFailure

TEXTS = [*synthetic_letters(6, seed=3)[0], "", "long " * 90, "half a pair \ud800"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(make_encoder(tmp_path_factory.mktemp("base") / "tiny"), "cpu")


def cache_in(folder: Path) -> TokenCache:
    return TokenCache(folder, 1 << 20, 14)


def assert_equal(found, expected) -> None:  # type: ignore[no-untyped-def]
    assert [[ids.tolist() for ids in text] for text in found[0]] == [
        [ids.tolist() for ids in text] for text in expected[0]
    ]
    assert all(ids.dtype == np.int32 for text in found[0] for ids in text)
    assert found[1] == expected[1]


def test_the_second_reading_tokenizes_nothing(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = token_windows(encoder, TEXTS, 16)
    assert_equal(cache_in(tmp_path).of("cor_a")(encoder, TEXTS, 16), expected)
    monkeypatch.setattr(token_cache, "token_windows", lambda *_: pytest.fail("tokenized again"))
    assert_equal(cache_in(tmp_path).of("cor_a")(encoder, TEXTS, 16), expected)


def test_other_texts_windows_tokenizers_and_corpora_have_files_of_their_own(
    tmp_path: Path, encoder: Encoder
) -> None:
    cache = cache_in(tmp_path)
    other = replace(encoder, special_ids=((1,), (2, 2)))
    for given, texts, tokens in (
        (encoder, TEXTS, 16), (encoder, TEXTS, 20), (encoder, TEXTS[:-1], 16), (encoder, ["a", "bc"], 16),
        (encoder, ["ab", "c"], 16), (other, TEXTS, 16),
    ):  # fmt: skip
        assert_equal(cache.of("cor_a")(given, texts, tokens), token_windows(given, texts, tokens))
    cache.of("cor_b")(encoder, TEXTS, 16)
    assert (cache.hits, cache.misses) == (0, 7)
    assert len(list((tmp_path / "cor_a").iterdir())) == 6
    assert len(list((tmp_path / "cor_b").iterdir())) == 1


def test_a_damaged_file_is_made_anew(tmp_path: Path, encoder: Encoder) -> None:
    cache = cache_in(tmp_path)
    expected = cache.of("cor_a")(encoder, TEXTS, 16)
    (file,) = (tmp_path / "cor_a").iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"junk" * 100):
        file.write_bytes(damaged)
        assert_equal(cache.of("cor_a")(encoder, TEXTS, 16), expected)
    assert file.read_bytes() == whole
    assert cache.hits == 0


def test_texts_that_cannot_be_tokenized_are_not_kept(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ((TextFailure("no"),), ((),))
    monkeypatch.setattr(token_cache, "token_windows", lambda *_: failed)
    assert cache_in(tmp_path).of("cor_a")(encoder, ["x"], 16) == failed
    assert list(tmp_path.rglob("*.npy")) == []


def test_a_full_disk_is_no_reason_not_to_read(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "cor_a").write_text("a file where the folder should be")
    assert_equal(cache_in(tmp_path).of("cor_a")(encoder, TEXTS, 16), token_windows(encoder, TEXTS, 16))


def test_what_was_unused_for_longest_goes_first(tmp_path: Path) -> None:
    now = time.time()
    for name, days in (("cor_a/x", 20), ("cor_a/y", 3), ("cor_b/z", 2), ("cor_b/w", 1)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (now - days * 86400, now - days * 86400))
    remove_unused(tmp_path, 25, 14 * 86400.0, now)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["w", "z"]
