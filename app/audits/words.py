"""The result of an audit sample in sentences that claim no more than is known. Pure."""

from __future__ import annotations

from app.audits.result_schemas import AuditResult, ErrorEstimate, StoppingResult, TwoReaders

MOST_NOT_BLIND = 0.05
"""Share of readings that were not blind from which the result is called in doubt."""


def sentences(result: AuditResult) -> list[str]:
    """The result, the most important first."""
    found = [] if result.stopping is None else _decision(result.stopping)
    found += _totals(result)
    if not result.readings:
        return found
    found += _limits(result)
    if result.two_readers is not None:
        found += _pair(result.two_readers)
    return found


def share(value: float) -> str:
    """A share in percent, with as many digits as it needs."""
    percent = 100 * value
    if 99.5 <= percent < 99.999:
        return "over 99 %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"


def span(estimate: ErrorEstimate, what: str) -> str:
    """`1,834 of 261,000 labels (0.7 %) are wrong, 95 % interval 1,200 to 2,600 (0.46 % to 1 %)`."""
    return (
        f"{estimate.total:,.0f} of {estimate.labels:,} {what} ({share(estimate.share)}) are wrong, 95 % interval "
        f"{estimate.low:,.0f} to {estimate.high:,.0f} ({share(estimate.share_low)} to {share(estimate.share_high)})"
    )


def _decision(stopping: StoppingResult) -> list[str]:
    looked = (
        f"Look {stopping.look} of {stopping.looks_declared}: {stopping.wrong:,} wrong and {stopping.skipped:,} skipped texts among "
        f"{stopping.read:,} drawn at random from {stopping.remainder:,} that reviews had not decided."
    )
    level = f"at α = {stopping.alpha:g}" + (
        f" over {stopping.looks_declared} looks" if stopping.looks_declared > 1 else ""
    )
    spent = _spent(stopping.earlier_plans)
    if stopping.stop:
        return [
            looked,
            (
                f"You may stop: were more than {stopping.at_most:,} texts of the remainder wrong, a sample like this would come by chance in "
                f"at most {stopping.alpha_per_look:.2g} of cases (p = {stopping.p_value:.2g}, {level})."
            ),
            *spent,
        ]
    rest = (
        f"{stopping.looks_left} declared look{'s are' if stopping.looks_left > 1 else ' is'} left: go on reviewing, then draw the next one."
        if stopping.looks_left
        else "No declared look is left: this plan cannot certify any more; a new plan spends a new α and is to be reported as a second attempt."
    )
    return [
        looked,
        (
            f"Do not stop: at most {stopping.at_most:,} wrong texts cannot be certified (p = {stopping.p_value:.2g}, {level}). "
            f"Alone, this look leaves up to {stopping.certified:,} possible."
        ),
        rest,
        *spent,
    ]


def _spent(earlier: int) -> list[str]:
    """That α has been spent before."""
    if not earlier:
        return []
    plans = "One stopping plan was" if earlier == 1 else f"{earlier} stopping plans were"
    return [
        f"{plans} declared for this corpus before this one, each with an α of its own: report every one of them."
    ]


def _totals(result: AuditResult) -> list[str]:
    labels, texts = result.labels, result.texts
    where = (
        "In question at the draw"
        if result.purpose == "stopping"
        else f"In the label snapshot {result.snapshot_id}"
    )
    if not result.readings:
        return [
            f"{result.drawn:,} of {result.frame:,} texts were drawn at random and nobody read any: nothing is known."
        ]
    unread = f", but for {result.unread:,} readings that nobody made" if result.unread else ""
    first = (
        f"{result.drawn:,} of {result.frame:,} texts were drawn at random and read blind{unread}: {labels.found:,} of "
        f"{labels.read:,} labels were found wrong, in {texts.found:,} texts."
    )
    if not labels.found and not labels.skipped:
        return [
            first,
            f"{where}: no error was found, which leaves up to {labels.high:,.0f} of {labels.labels:,} labels wrong ({share(labels.share_high)}; 95 %).",
        ]
    return [first, f"{where}, an estimated {span(labels, 'labels')}. At least one is in an estimated {texts.total:,.0f} of {texts.labels:,} texts, {texts.low:,.0f} to {texts.high:,.0f}."]  # fmt: skip


def _limits(result: AuditResult) -> list[str]:
    found = []
    if result.labels.skipped:
        found.append(
            f"{result.labels.skipped:,} {'label was' if result.labels.skipped == 1 else 'labels were'} skipped, undecided or left in dispute: "
            "the estimate and the upper end count them as wrong, "
            f"the lower end as right; without them the total would be {result.labels.total_without_skips:,.0f}."
        )
    if result.not_blind:
        many = result.not_blind > MOST_NOT_BLIND * result.readings
        found.append(
            f"{result.not_blind:,} of {result.readings:,} readings were not blind: these people had been shown labels or probabilities of the "
            "text, or had decided on them, before, and corrections drift towards what one has seen."
            + (" That is too many to call this a blind sample: report it." if many else "")
        )
    beyond = [
        f"{option.key} = {value.value}"
        for option in result.options
        for value in option.values
        if value.not_certifiable
    ]
    if beyond:
        listed = ", ".join(beyond[:6]) + (f" and {len(beyond) - 6} more" if len(beyond) > 6 else "")
        found.append(f"Too few were read to certify the share asked for: {listed}.")
    if result.two_readers is None:
        found.append("One person read: what this person overlooks, or sees where nothing is, is in no interval here.")  # fmt: skip
    return found


def _pair(pair: TwoReaders) -> list[str]:
    if pair.agreement is None:
        return ["The two readers have decided no label in common."]
    kappa = "" if pair.kappa is None else f" (kappa {pair.kappa:.2f} on which are wrong)"
    found = [
        (
            f"The two readers agree on {share(pair.agreement)} of {pair.cells:,} labels{kappa}; {pair.adjudicated:,} of {pair.disputes:,} disputes "
            "were settled."
        )
    ]
    if pair.corrected is not None and pair.together is not None:
        found.append(
            f"By what each found alone they see {share(pair.together)} of wrong labels together, if they err independently; corrected for that the "
            f"total would be {pair.corrected.total:,.0f} ({pair.corrected.low:,.0f} to {pair.corrected.high:,.0f}). Two readers who miss the same "
            "hard texts make even this too low."
        )
    else:
        found.append("What both overlook cannot be estimated: too few errors were found by either, or disputes were not settled.")  # fmt: skip
    return found
