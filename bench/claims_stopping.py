"""The stopping rule at the edge of its claim: one wrong text more than claimed is left, so that every stop is false."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.audit.sample.stopping import StoppingPlan, p_values, reads_needed

REMAINDER = 29_000
CLAIMS = (300, 100, 50)
SKIPS_WRONG, SKIPS_RIGHT = 0.3, 0.002
"""How often a reader skips a wrong and a right text: hard texts are skipped more."""
SEES = 0.8
"""Share of the wrong texts that a reader who errs sees."""
MANY = 20
"""Draws of the counts for each draw asked for: they cost nothing."""


def stopping(draws: int, seed: int) -> dict[str, Any]:
    """False stops of the rule and of what is usually done instead."""
    print(f"\n## Stopping: false stops with claim + 1 wrong texts among {REMAINDER:,}, goal ≤ .05")
    print(
        "| claim | texts a look | one look | five looks | skips, one look | skips dropped | tested after every 100 texts at .05 |"
    )
    print("|---|---|---|---|---|---|---|")
    rows = []
    for claim in CLAIMS:
        row = _claim(claim, draws * MANY, np.random.default_rng([seed, claim]))
        rows.append(row)
        print(
            f"| {claim} | {row['reads']:,} | {row['one']:.4f} | {row['five']:.4f} | {row['skips']:.4f} | {row['skips_dropped']:.4f} | {row['peeking_naively']:.3f} |"
        )
    steered = _steered(max(50, draws // 5), np.random.default_rng([seed, 1]))
    print(
        f"steered by a queue, claim 100: the rule {steered['rule']:.3f}; stopping after 847 texts of the queue without an error "
        f"{steered['queue']:.3f} (median left {steered['left']:.0f})"
    )
    err = {claim: _erring(claim, draws * MANY, np.random.default_rng([seed, claim, 2])) for claim in CLAIMS}
    words = "; ".join(f"claim {claim} {value:.4f}" for claim, value in err.items())
    print(f"one look by a reader who sees {SEES:.0%} of the wrong texts: {words}")
    return {"rows": rows, "steered": steered, "erring": err}


def _erring(claim: int, draws: int, rng: np.random.Generator) -> float:
    """False stops of one look whose reader takes some wrong texts for right."""
    plan = StoppingPlan(claim)
    reads = reads_needed(REMAINDER, plan)
    seen = rng.binomial(rng.hypergeometric(claim + 1, REMAINDER - claim - 1, reads, draws), SEES)
    return float((p_values(seen, REMAINDER, claim, reads) <= plan.alpha).mean())


def _claim(claim: int, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    wrong, right = claim + 1, REMAINDER - claim - 1
    single, five = StoppingPlan(claim), StoppingPlan(claim, 5)
    reads, each = reads_needed(REMAINDER, single), reads_needed(REMAINDER, five)
    found = rng.hypergeometric(wrong, right, reads, draws)
    looks = rng.hypergeometric(wrong, right, each, (draws, 5))
    seen = found - rng.binomial(found, SKIPS_WRONG)
    counted_wrong = found + rng.binomial(reads - found, SKIPS_RIGHT)
    steps = np.arange(100, 3001, 100)
    counted = np.cumsum(_successive(wrong, right, len(steps), draws // MANY, rng), axis=1)
    return {
        "claim": claim, "reads": reads, "reads_five": each,
        "one": float((p_values(found, REMAINDER, claim, reads) <= single.alpha).mean()),
        "five": float((p_values(looks, REMAINDER, claim, each) <= five.alpha_per_look).any(axis=1).mean()),
        "skips": float((p_values(counted_wrong, REMAINDER, claim, reads) <= single.alpha).mean()),
        "skips_dropped": float((p_values(seen, REMAINDER, claim, reads) <= single.alpha).mean()),
        "peeking_naively": float((p_values(counted, REMAINDER, claim, steps) <= 0.05).any(axis=1).mean()),
    }  # fmt: skip


def _successive(wrong: int, right: int, looks: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Wrong ones among each next 100 texts."""
    left = np.full(draws, wrong)
    rest = np.full(draws, right)
    parts = []
    for _ in range(looks):
        found = rng.hypergeometric(left, rest, 100)
        left, rest = left - found, rest - (100 - found)
        parts.append(found)
    return np.stack(parts, axis=1)


def _steered(draws: int, rng: np.random.Generator) -> dict[str, float]:
    """A queue is worked by suspicion until 101 wrong ones are left; a fresh sample of the rest is then read. Beside: the queue's own silence."""
    plan, claim = StoppingPlan(100), 100
    reads = reads_needed(REMAINDER, plan)
    assert reads is not None
    stops, silent, left = [], [], []
    for _ in range(draws):
        wrong = rng.random(REMAINDER) < 0.03
        queue = wrong[np.argsort(-(rng.standard_normal(REMAINDER) + 2.0 * wrong))]
        remaining = queue.sum() - np.cumsum(queue)
        frozen = queue[int(np.flatnonzero(remaining == claim + 1)[0]) + 1 :]
        read = rng.choice(len(frozen), min(reads, len(frozen)), replace=False)
        stops.append(float(p_values(int(frozen[read].sum()), len(frozen), claim, len(read))) <= plan.alpha)
        hits = np.append(np.flatnonzero(queue), REMAINDER)
        gaps = np.diff(np.append(-1, hits)) - 1
        long = np.flatnonzero(gaps >= reads)
        at = int(long[0]) if len(long) else len(hits) - 1
        left.append(int(queue.sum()) - at)
        silent.append(left[-1] > claim)
    return {"rule": float(np.mean(stops)), "queue": float(np.mean(silent)), "left": float(np.median(left))}
