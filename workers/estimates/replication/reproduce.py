"""Reproduces every number of analyses.csv from texts.csv. Needs numpy; with scipy the interval ends, too.

    python reproduce.py

Written on its own, without Remand's code: the estimating equation is solved again, and its standard errors are computed anew.
Exit status 1 when a number differs.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

try:
    from scipy import stats
except ImportError:
    stats = None

HERE = Path(__file__).resolve().parent
CLOSE = 1e-6


def main() -> int:
    """Compare every estimate, standard error, interval and naive estimate; print them side by side."""
    texts, analyses = _texts(), defaultdict(list)
    for row in _rows("analyses.csv"):
        analyses[row["analysis"]].append(row)
    wrong = 0
    for number, rows in analyses.items():
        for name, told, found in _compared(texts, number, rows):
            same = abs(told - found) <= CLOSE * max(1.0, abs(told))
            wrong += not same
            sys.stdout.write(f"{'same' if same else 'DIFFERS'}\t{number}\t{name}\t{told:.8g}\t{found:.8g}\n")
    sys.stdout.write(f"{'all numbers are the same' if not wrong else f'{wrong} numbers differ'}\n")
    return int(wrong > 0)


def _rows(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _texts() -> dict[str, list[str]]:
    rows = _rows("texts.csv")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _numbers(texts: dict[str, list[str]], name: str) -> Any:
    return np.array([float(value) if value not in {"", "NA"} else 0.0 for value in texts[name]])


def _compared(texts: dict[str, list[str]], number: str, rows: list[dict[str, str]]) -> list[Any]:
    """(what, as reported, as found here) of one analysis."""
    outcome, terms = rows[0], rows[1:]
    if outcome["rare"] == "1":
        found = _rare(texts, number, outcome["variable"], float(outcome["level_of_intervals"]))
    else:
        found = _solved(texts, number, rows)
    naive = _naive(texts, number, rows)
    told = []
    for place, row in enumerate(terms):
        told += [(f"{row['name']} {part}", float(row[part]), float(found[part][place])) for part in found]
        if row["naive"] and naive is not None:
            told.append((f"{row['name']} naive", float(row["naive"]), float(naive[place])))
    return told


def _samples(texts: dict[str, list[str]], number: str) -> list[dict[str, Any]]:
    """The sample, or each of several: stratum (-1: not in its frame), who was read, π less those that were not settled, share of the weight."""
    ends = [""] if "stratum" in texts else [f".{k}" for k in range(1, 11) if f"stratum.{k}" in texts]
    found = []
    for end in ends:
        stratum = np.array([int(value) if value else -1 for value in texts[f"stratum{end}"]])
        read = (_numbers(texts, f"drawn{end}") > 0) & (_numbers(texts, f"read.{number}") > 0)
        sizes = np.bincount(stratum[stratum >= 0])
        taken = np.bincount(stratum[read], minlength=len(sizes))
        share = _numbers(texts, f"share{end}") if end else np.ones(len(stratum))
        found.append({"stratum": stratum, "read": read, "sizes": sizes, "taken": taken, "share": share})
    return found


def _joined(sample: dict[str, Any]) -> Any:
    """Strata for the variance: one of which a single text was read goes with the next one that was read, the last with the one before."""
    into, waiting, before = np.arange(len(sample["sizes"])), None, None
    for h in np.flatnonzero(sample["taken"]):
        if waiting is not None:
            into[h], waiting = into[waiting], None
        elif sample["taken"][h] == 1 and sample["sizes"][h] > 1:
            waiting = h
            continue
        before = h
    if waiting is not None and before is not None:
        into[waiting] = into[before]
    return np.where(sample["stratum"] >= 0, into[sample["stratum"]], -1)


def _reading(texts: dict[str, list[str]], number: str, row: dict[str, str], how: str) -> Any:
    """A column of the design, or the outcome, in one reading of the labels: expert, predicted or student; 0 for texts not asked about."""
    asked = _numbers(texts, f"asked.{number}")
    role, name = row["role"], row["variable"]
    if role == "intercept":
        return asked
    if row["type"] == "label":
        prefix = f"predicted.{number}" if how == "predicted" else how
        return _numbers(texts, f"{prefix}.{name}") * asked
    if row["type"] == "level":
        return np.array([value == row["level"] for value in texts[f"column.{name}"]]) * asked
    return _numbers(texts, f"column.{name}") * asked


def _solved(texts: dict[str, list[str]], number: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    logistic, tuning = rows[0]["link"] == "logistic", float(rows[0]["tuning"])
    read = _numbers(texts, f"read.{number}")
    weights = read / np.maximum(_numbers(texts, f"inclusion.{number}"), 1e-300)
    y = {how: _reading(texts, number, rows[0], how) for how in ("expert", "predicted")}
    x = {how: np.stack([_reading(texts, number, row, how) for row in rows[1:]], 1) for how in y}
    each = {"predicted": tuning * (1 - weights), "expert": weights}
    beta = _root(y, x, each, logistic)
    covariance = _covariance(texts, number, beta, (y, x, each, logistic), tuning)
    error = np.sqrt(np.diag(covariance))
    found = {"estimate": beta, "standard_error": error}
    if stats is not None:
        half = stats.t.ppf((1 + float(rows[0]["level_of_intervals"])) / 2, int(rows[0]["freedom"])) * error
        found |= {"low": beta - half, "high": beta + half}
    return found


def _mean(values: Any, logistic: bool) -> Any:
    return 0.5 * (1 + np.tanh(values / 2)) if logistic else values


def _root(y: Any, x: Any, weights: Any, logistic: bool) -> Any:
    """Solves sum over both readings of w x (y - mean) = 0 by Newton's method with halved steps."""
    beta = np.zeros(next(iter(x.values())).shape[1])

    def moment(at: Any) -> Any:
        return sum(x[how].T @ (weights[how] * (y[how] - _mean(x[how] @ at, logistic))) for how in x)

    for _ in range(200):
        step = np.linalg.solve(_slope(x, weights, beta, logistic), moment(beta))
        size = 1.0
        while np.linalg.norm(moment(beta + size * step)) >= np.linalg.norm(moment(beta)) and size > 1e-9:
            size /= 2
        if size <= 1e-9:
            break
        beta = beta + size * step
    return beta


def _slope(x: Any, weights: Any, beta: Any, logistic: bool) -> Any:
    def spread(how: str) -> Any:
        mean = _mean(x[how] @ beta, logistic)
        return weights[how] * (mean * (1 - mean) if logistic else np.ones(len(mean)))

    return sum(x[how].T @ (x[how] * spread(how)[:, None]) for how in x)


def _covariance(texts: dict[str, list[str]], number: str, beta: Any, equation: Any, tuning: float) -> Any:
    """Sandwich over clusters; the sampled part is centred within its stratum, as it is drawn there without replacement."""
    y, x, weights, logistic = equation
    clusters = np.unique(texts["cluster"], return_inverse=True)[1]
    part = {how: x[how] * (y[how] - _mean(x[how] @ beta, logistic))[:, None] for how in x}
    each = tuning * part["predicted"]
    for sample in _samples(texts, number):
        sampled = sample["share"][:, None] * (part["expert"] - tuning * part["predicted"])
        group = _joined(sample)
        weight = (sample["sizes"] / np.maximum(sample["taken"], 1))[sample["stratum"]]
        for h in np.unique(group[sample["read"]]):
            here, drawn = group == h, (group == h) & sample["read"]
            n, level = drawn.sum(), np.average(sampled[drawn], axis=0, weights=weight[drawn])
            each[here] += level
            each[drawn] += (np.sqrt(n / max(n - 1, 1)) * weight[drawn])[:, None] * (sampled[drawn] - level)
    summed = np.zeros((clusters.max() + 1, len(beta)))
    np.add.at(summed, clusters, each)
    asked = _numbers(texts, f"asked.{number}") > 0
    count = len(np.unique(clusters[asked]))
    bread = np.linalg.inv(_slope(x, weights, beta, logistic))
    return bread @ (summed.T @ summed) @ bread.T * count / max(count - len(beta), 1)


def _naive(texts: dict[str, list[str]], number: str, rows: list[dict[str, str]]) -> Any:
    """The same regression with the labels given taken as they are, on texts that have all of them."""
    labels = [row["variable"] for row in rows if row["type"] == "label"]
    known = (_numbers(texts, f"asked.{number}") > 0) & np.all(
        [[value != "" for value in texts[f"student.{name}"]] for name in labels], axis=0
    )
    y = {"student": _reading(texts, number, rows[0], "student")[known]}
    x = {"student": np.stack([_reading(texts, number, row, "student") for row in rows[1:]], 1)[known]}
    try:
        return _root(y, x, {"student": np.ones(known.sum())}, rows[0]["link"] == "logistic")
    except np.linalg.LinAlgError:
        return None


def _rare(texts: dict[str, list[str]], number: str, name: str, level: float) -> dict[str, Any]:
    """A share with few events: the difference estimator with one slope per text, and Fay and Feuer's (1997) interval."""
    asked, read = _numbers(texts, f"asked.{number}"), _numbers(texts, f"read.{number}") > 0
    labels, said = _numbers(texts, f"expert.{name}"), _numbers(texts, f"predicted.{number}.{name}")
    count = asked.sum()
    turned = labels[read & (asked > 0)].mean() > 0.5  # the rarer value is counted
    yes, guess = (asked * (1 - values if turned else values) for values in (labels, said))
    parts, before, largest = [], 0, 0.0
    for sample in _samples(texts, number):
        inside, rows, h = sample["stratum"] >= 0, sample["read"], sample["stratum"]
        q = sample["share"] * guess
        q -= (np.bincount(h[inside], q[inside]) / sample["sizes"])[h]
        parts.append(
            ((sample["share"] * yes)[rows], q[rows], h[rows] + before, sample["sizes"], sample["taken"])
        )
        weight = sample["share"] * (sample["sizes"] / np.maximum(sample["taken"], 1))[h]
        largest = max(largest, float(weight[inside & (asked > 0)].max()))
        before += len(sample["sizes"])
    e, q, h, sizes, taken = (np.concatenate(values) for values in zip(*parts, strict=True))

    def centred(values: Any) -> Any:
        return values - (np.bincount(h, values, len(sizes)) / np.maximum(taken, 1))[h]

    scale = (sizes**2 * (1 - taken / sizes) / (np.maximum(taken, 1) * np.maximum(taken - 1, 1)))[h]
    out = (taken / np.maximum(taken - 1, 1))[h]
    apart = centred(q)
    apart[np.abs(apart) <= 1e-9 * np.abs(q).max()] = 0  # rounding
    product, square = scale * centred(e) * apart, scale * apart**2
    covered, spread = product.sum() - out * product, square.sum() - out * square
    noise = (product**2).sum() - product**2
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(spread > 1e-9 * square.sum(), covered / spread, 0.0)
        certain = np.where(noise > 0, covered**2 / noise, 0.0)
    corrected = e - np.maximum(slope, 0) * certain / (certain + 2) * q
    total = max(float(corrected @ (sizes / np.maximum(taken, 1))[h]), float(yes[read].sum()))
    variance = float(centred(corrected) ** 2 @ scale) + total * (1 - total / count)
    found = {
        "estimate": [1 - total / count if turned else total / count],
        "standard_error": [np.sqrt(variance) / count],
    }
    if stats is None:
        return found
    tail = (1 - level) / 2
    low = (
        stats.gamma.ppf(tail, total**2 / variance, scale=variance / total)
        if total > 0 and variance > 0
        else total
    )
    more, wider = total + largest, variance + largest**2
    high = stats.gamma.ppf(1 - tail, more**2 / wider, scale=wider / more)
    ends = [min(low, count) / count, min(high, count) / count]
    ends = [1 - ends[1], 1 - ends[0]] if turned else ends
    return found | {"low": [ends[0]], "high": [ends[1]]}


if __name__ == "__main__":
    sys.exit(main())
