"""Every part of the claims bench runs with a few draws and prints whole rows of shares; a part that ought to fail its goal does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import claims, claims_panels
from bench.claims_agreement import TWO, Two
from bench.claims_clusters import CASES, _of

QUICK = {
    "agreement": ("two", "alpha", 10), "clusters": ("rows", "coverage", 6), "pooled": ("rows", "coverage", 6),
    "two_readers": ("rows", "corrected", 9), "clumps": ("rows", "coverage", 33), "held": ("rows", "coverage", 12),
    "budget": ("rows", "coverage", 6), "third_vote": ("rows", "coverage", 7), "stopping": ("rows", "one", 3),
}  # fmt: skip
"""Parts, a list of their rows, a column of it, and how many rows there are."""


@pytest.mark.parametrize("part", QUICK)
def test_a_part_prints_whole_rows_of_shares(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_panels, "LARGE", 20_000)
    found = _run(part, 2, tmp_path)
    rows, column, count = QUICK[part]
    assert len(found[rows]) == count
    shares = [share for row in found[rows] for share in _numbers(row[column])]
    assert shares
    assert all(0 <= share <= 1 for share in shares if not np.isnan(share))
    _check_tables(capsys.readouterr().out)


def test_readers_who_miss_the_same_texts_lose_coverage_that_others_keep(tmp_path: Path) -> None:
    rows = _run("two_readers", 100, tmp_path)["rows"]
    apart, alike = ([row for row in rows if row["alike"] == share and row["sensitivity"] == [0.6, 0.6]] for share in (0.0, 0.4))  # fmt: skip
    assert min(row["corrected"] for row in apart) > 0.85
    assert max(row["corrected"] for row in alike) < 0.7
    assert all(row["known"] <= row["corrected"] for row in rows)


def test_kappa_of_the_population() -> None:
    assert Two(60, 0.3, 1.0, 1.0).kappa == pytest.approx(1)
    assert Two(60, 0.3, 0.7, 0.3).kappa == pytest.approx(0), "yes does not hang on what is true"
    drawn = Two(400_000, TWO[5].yes, TWO[5].sensitivity, TWO[5].specificity).draw(np.random.default_rng(0))
    agreed, each = (drawn[0] == drawn[1]).mean(), drawn.mean()
    by_chance = each**2 + (1 - each) ** 2
    assert (agreed - by_chance) / (1 - by_chance) == pytest.approx(TWO[5].kappa, abs=0.02)


def test_clusters_have_the_shape_that_they_are_called_by() -> None:
    rng = np.random.default_rng(0)
    one = np.bincount(_of(next(case for case in CASES if case.shape == "one of 40 %"), rng))
    assert one.max() / one.sum() == pytest.approx(0.4, abs=0.04)
    falling = np.sort(np.bincount(_of(next(case for case in CASES if case.shape.startswith("the k-th")), rng)))[::-1]  # fmt: skip
    assert falling[0] / falling[1] == pytest.approx(2, abs=0.4)


def _run(part: str, draws: int, folder: Path) -> dict[str, Any]:
    path = folder / "claims.json"
    assert claims.main(["--parts", part, "--draws", str(draws), "--json", str(path)]) == 0
    found: dict[str, Any] = json.loads(path.read_text())[part]
    return found


def _numbers(value: Any) -> list[float]:
    """Of a share, a list of shares, or lists by name."""
    if isinstance(value, dict):
        return [one for each in value.values() for one in each]
    return value if isinstance(value, list) else [value]


def _check_tables(printed: str) -> None:
    """Every table has rows, each with as many cells as its header."""
    tables = [
        [line for line in block.splitlines() if line.startswith("|")] for block in printed.split("\n## ")
    ]
    tables = [table for table in tables if table]
    assert tables
    for table in tables:
        assert len(table) > 2
        assert len({line.count("|") for line in table}) == 1, table
