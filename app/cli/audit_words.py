"""Audit samples in words, line by line: plan, progress, cost of stopping, result."""

from __future__ import annotations

from typing import Any


def plan_words(plan: dict[str, Any]) -> list[str]:
    """What a sample would cost and could say."""
    lines = [
        (
            f"{plan['size']:,} of {plan['frame']:,} texts, {plan['design']}, {plan['readings']:,} readings of {len(plan['options'])} options each; "
            f"{plan['cells']:,} labels are in question."
        )
    ]
    lines += [
        f"  if {found['wrong']:,.0f} labels are wrong{' (as suspicion has it, which is not known)' if found['basis'] == 'suspicion' else ''}: "
        f"about {found['low']:,.0f} to {found['high']:,.0f}"
        for found in plan["intervals"]
    ]
    beyond = [found for found in plan["certifiable"] if found["not_certifiable"]]
    lines += [
        f"  {found['option']} = {found['value']} ({found['labels']:,}): {found['not_certifiable']}"
        for found in beyond
    ]
    if plan["stopping"] is not None:
        lines += cost_words(plan["stopping"])
    return [*lines, *(f"Careful: {warning}" for warning in plan["warnings"])]


def cost_words(cost: dict[str, Any]) -> list[str]:
    """What one look costs."""
    head = (
        f"To certify at most {cost['at_most']:,} wrong among {cost['remainder']:,} texts left, look {cost['look']} of {cost['looks']}, "
        f"alpha {cost['alpha']:g} over all:"
    )
    rows = [
        f"  {wrong} wrong found: {'not even reading all is enough' if reads is None else f'{reads:,} texts to read'}"
        for wrong, reads in cost["reads_needed"]
    ]
    chances = [
        f"  chance to stop if {wrong:,} are wrong: {chance:.2f}" for wrong, chance in cost["chance_to_stop"]
    ]
    return [head, *rows, *chances]


def status_words(sample: dict[str, Any]) -> list[str]:
    """How far the reading is."""
    progress = sample["progress"]
    purpose = (
        f"look {sample['look']} of {sample['looks_declared']}, at most {sample['at_most']:,}"
        if sample["purpose"] == "stopping"
        else "totals"
    )
    state = "released" if sample["released_at"] else sample["state"]
    lines = [
        f"{sample['id']} “{sample['name']}”: {sample['size']:,} of {sample['frame']:,} texts, {sample['design']}, {purpose}; {state}.",
        f"  sealed {sample['sealed_at'][:16].replace('T', ' ')} UTC, sha256 {sample['seal']}",
    ]
    lines += [
        f"  {person['name']} ({person['role']}): {person['read']:,} read"
        + (f", {person['not_blind']:,} not blind" if person["not_blind"] else "")
        for person in progress["people"]
    ]
    if sample["state"] == "reading":
        lines.append(
            f"  {progress['unread']:,} readings to make, {progress['disputes']:,} texts for the adjudicator."
        )
    return lines


def result_words(result: dict[str, Any]) -> list[str]:
    """The result: its sentences, then a line per option, with the naive number beside."""
    lines = list(result["words"])
    lines.append("")
    wide = max([24, *(len(option["key"]) + len("   = yes") for option in result["options"])])
    lines.append(
        f"{'':{wide}} {'labels':>9} {'read':>7} {'wrong':>6} {'estimated':>10}  {'95 % interval':>19} {'plain':>8} {'naive':>8}"
    )
    lines += [_row("all options", result["labels"], wide)]
    for option in result["options"]:
        if option["estimate"] is not None:
            lines.append(_row(option["key"], option["estimate"], wide))
        lines += [
            _row(f"  {option['key']} = {value['value']}", value["estimate"], wide)
            + (" *" if value["not_certifiable"] else "")
            for value in option["values"]
        ]
    if any(value["not_certifiable"] for option in result["options"] for value in option["values"]):
        lines.append("* too few were read to certify the share asked for")
    held = result.get("annotators")  # null where nobody annotated; absent at an older server
    return lines + ([] if held is None else annotators_words(held))


def annotators_words(held: dict[str, Any]) -> list[str]:
    """Annotators and teams against what was settled, a line each."""
    rows = [(one["name"] + (f" ({one['team']})" if one["team"] else ""), one) for one in held["annotators"]]
    rows += [(f"team {one['name']}", one) for one in held["teams"]]
    wide = max(len(name) for name, _ in rows)
    return ["", "Annotators against what was settled:", *(_held(name.ljust(wide), one) for name, one in rows), *held["notes"]]  # fmt: skip


def _held(name: str, one: dict[str, Any]) -> str:
    counts = f"{name}  {one['differ']:>5,} of {one['read']:,} labels differ, {one['texts']:,} texts; "
    if one["share"] is None:
        return counts + str(one["reason"])
    share, low, high = (100 * one[name] for name in ("share", "low", "high"))
    return f"{counts}{share:.1f} % of all their labels ({low:.1f} to {high:.1f})"


def _row(name: str, found: dict[str, Any], wide: int) -> str:
    naive = found["naive"]["total"]
    return (
        f"{name:{wide}} {found['labels']:>9,} {found['read']:>7,} {found['found']:>6,} {found['total']:>10,.1f}  "
        f"{found['low']:>8,.0f} to {found['high']:>7,.0f} {found['plain']['total']:>8,.1f} {'-' if naive is None else f'{naive:,.1f}':>8}"
    )
