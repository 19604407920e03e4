"""Decoys: how many, of which options, where, and that no order gives them away."""

import numpy as np

from workers.relabel.decoys import borrowed, with_decoys


def scores(texts=400, cells=3, seed=0):
    return np.random.default_rng(seed).random((texts, cells)).astype(np.float32)


def queue(share, seed=1, flags=90):
    found = scores()
    order = np.argsort(-found[:, :2].ravel())[:flags]
    flagged = [(int(place // 2), int(place % 2)) for place in order]
    return flagged, found, with_decoys(flagged, found, share, np.random.default_rng(seed))


def test_a_share_of_the_queue_that_nothing_flags_and_the_flagged_in_their_order():
    flagged, _, mixed = queue(0.1)
    assert [(text, cell) for text, cell, reason in mixed if reason == "flag"] == flagged
    decoys = [(text, cell) for text, cell, reason in mixed if reason == "decoy"]
    assert len(decoys) == 10
    assert not set(decoys) & set(flagged)
    assert len(set(decoys)) == 10


def test_decoys_are_of_the_options_that_are_flagged():
    _, _, mixed = queue(0.5)
    assert {cell for _, cell, reason in mixed if reason == "decoy"} == {0, 1}


def test_without_a_wish_or_without_flags_there_is_none():
    assert all(reason == "flag" for _, _, reason in queue(0.0)[2])
    assert with_decoys([], scores(), 0.5, np.random.default_rng(0)) == []


def test_where_too_few_cells_are_left_there_are_fewer():
    found = np.full((3, 1), 0.5, dtype=np.float32)
    mixed = with_decoys([(0, 0), (1, 0)], found, 0.5, np.random.default_rng(0))
    assert sorted(reason for _, _, reason in mixed) == ["decoy", "flag", "flag"]


def test_places_are_spread_over_the_whole_queue():
    places = [
        place
        for seed in range(40)
        for place, (_, _, reason) in enumerate(queue(0.1, seed)[2])
        if reason == "decoy"
    ]
    assert abs(np.mean(places) - 49.5) < 5
    assert min(places) < 10
    assert max(places) > 89


def test_borrowed_scores_keep_the_queue_in_order_and_hide_what_is_not_flagged():
    _, found, mixed = queue(0.3)
    every = np.stack([found, scores(seed=9)])
    places = borrowed(mixed, every, np.random.default_rng(2))
    assert [place is None for place in places] == [reason == "flag" for _, _, reason in mixed]
    first = [
        float(found[text, cell]) if place is None else place[0]
        for (text, cell, _), place in zip(mixed, places, strict=True)
    ]
    assert first == sorted(first, reverse=True)
    flagged = [every[1, text, cell] for text, cell, reason in mixed if reason == "flag"]
    others = [place[1] for place in places if place is not None]
    assert min(flagged) <= min(others)
    assert max(others) <= max(flagged)
    assert not set(others) & {float(value) for value in sorted(flagged)[1:-1]}
