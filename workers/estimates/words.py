"""The words of a replication package: what is in it, how it was estimated, how to cite it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

SOURCES = {
    "dsl-2023": "Egami, N., Hinck, M., Stewart, B. M. and Wei, H. (2023). Using imperfect surrogates for downstream inference: "
    "design-based supervised learning for social science applications of large language models. Advances in Neural Information Processing Systems 36.",
    "dsl-2024": "Egami, N., Hinck, M., Stewart, B. M. and Wei, H. (2024). Using large language model annotations for the social "
    "sciences: a general framework of using predicted variables in downstream analyses. Working paper.",
    "ppi": "Angelopoulos, A. N., Duchi, J. C. and Zrnic, T. (2023). PPI++: efficient prediction-powered inference. arXiv:2311.01453.",
    "rare": "Fay, M. P. and Feuer, E. J. (1997). Confidence intervals for directly standardized rates: a method based on the gamma "
    "distribution. Statistics in Medicine 16, 791–801.",
    "pooled": "Hartley, H. O. (1962). Multiple frame surveys. Proceedings of the Social Statistics Section, American Statistical "
    "Association, 203–206.",
    "events": "Peduzzi, P., Concato, J., Kemper, E., Holford, T. R. and Feinstein, A. R. (1996). A simulation study of the number of "
    "events per variable in logistic regression analysis. Journal of Clinical Epidemiology 49, 1373–1379.",
}


def methods(document: Mapping[str, Any]) -> str:
    """The paragraph for the paper, with the numbers of these estimates filled in."""
    run, answered = document["run"], _answered(document)
    rare = any(one["rare"] for one in answered)
    helped = (
        "the label given by the annotators"
        if run is None
        else f"the label given by the annotators and the held-out probability of a classifier ({run['base_model']}, adapter digest "
        f"{run['adapter_digest'][:12]}), which had been fitted without the text, its group and its near duplicates"
    )
    errors = (
        f"Standard errors are clustered by {document['cluster_by']}"
        if document["cluster_by"]
        else "Standard errors take every text for itself"
    )
    return " ".join(
        [
            *_drawn(document),
            (
                "Estimates combine the labels of all texts with this sample by design-based supervised learning (Egami et al. 2023, 2024): "
                "every text contributes its predicted label, and every text that was read, weighted by the inverse of its probability of "
                "being drawn, the difference between the expert's label and the predicted one, so that the estimates are right "
                "whatever the predictions are worth."
            ),
            (
                f"Predicted labels come from a logistic regression of the expert's label on {helped}, and the covariates, fitted on the "
                "sample in five parts, each text being predicted by a fit that left its cluster out."
            ),
            f"How much weight predictions have (λ{_tunings(answered)}) was chosen for the least variance (Angelopoulos et al. 2023).",
            f"{errors}, centred within strata, with t quantiles; intervals hold {100 * document['level']:g} %.",
            *(["Shares with few events have Fay and Feuer's (1997) interval."] if rare else []),
            *_skips(answered),
            *_refusals(document),
        ]
    )


def samples_of(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The samples that estimates rest on, the oldest first."""
    found: Sequence[Mapping[str, Any]] = document.get("audit_samples") or [document["audit_sample"]]
    return found


def _drawn(document: Mapping[str, Any]) -> list[str]:
    """How the sample was drawn and read, or each of several, and how they are used together."""
    samples, newest = samples_of(document), document["audit_sample"]
    if len(samples) > 1:
        return _several(document)
    return [
        (
            f"The labels of {newest['frame']:,} texts had been given by annotators. From these texts a random sample of {newest['drawn']:,}, "
            f"{_strata(newest)}, was sealed (seed {newest['seed']}) before anyone looked, and read blind by {_readers(newest)}."
        ),
        *_not_blind(newest),
    ]


def _several(document: Mapping[str, Any]) -> list[str]:
    samples, newest = samples_of(document), document["audit_sample"]
    each = "; ".join(
        f"of {one['frame']:,} texts on {one['sealed_at'][:10]} {one['drawn']:,}, {_strata(one)} (seed {one['seed']}), read blind by {_readers(one)}"
        for one in samples
    )
    gone = sum(one["drawn"] - one["still_there"] for one in samples)
    found = [
        (
            f"The labels of {newest['frame']:,} texts had been given by annotators. {len(samples)} random samples were drawn independently of each "
            f"other, each sealed before anyone looked: {each}."
        ),
        *(
            words
            for one in samples
            for words in _not_blind(one, f" of the sample of {one['sealed_at'][:10]}")
        ),
        (
            "Each text's weight is shared between the samples that could have drawn it, in proportion to the part of its texts that each drew "
            "(a multiple-frame estimator with constant weights, Hartley 1962)."
        ),
    ]
    if gone:
        found.append(
            f"{gone:,} of the texts that were read have since changed or left; they count for their samples' variance alone."
        )
    if document["read_twice"]:
        found.append(
            f"{document['read_twice']:,} texts were read in more than one sample, {document['read_differently']:,} of them with another label; "
            "the newest reading counts."
        )
    if any(earlier["closed_at"] <= later["sealed_at"] for earlier, later in pairwise(samples)):
        found.append(
            "A sample was drawn after an earlier one had been closed: if what that one found decided whether, or how many, texts were to be "
            "drawn, the intervals do not hold that choice."
        )
    return found


def _answered(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in document["analyses"] if one["reason"] is None]


def _readers(sample: Mapping[str, Any]) -> str:
    if sample["readers"] == 1:
        return "one reader"
    return "two readers and an adjudicator" if sample["adjudicator"] else "two readers"


def _not_blind(sample: Mapping[str, Any], of: str = "") -> list[str]:
    if not sample["not_blind"]:
        return []
    return [
        (
            f"In {sample['not_blind']:,} of {sample['readings']:,} readings{of} the reader had been shown labels or probabilities of the text, "
            "or had decided on it, before; these were not blind."
        )
    ]


def _strata(sample: Mapping[str, Any]) -> str:
    return (
        "simple random" if sample["strata"] == 1 else f"stratified into {sample['strata']} bands of suspicion"
    )


def _tunings(answered: Sequence[Mapping[str, Any]]) -> str:
    values = [one["tuning"] for one in answered if one["tuning"] is not None]
    if not values:
        return ""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return f" = {low}" if low == high else f" between {low} and {high}"


def _skips(answered: Sequence[Mapping[str, Any]]) -> list[str]:
    most = max((one["skipped"] for one in answered), default=0)
    if not most:
        return []
    return [
        f"For up to {most} sampled texts the readers settled no label; they are taken to be like the other sampled texts of their stratum."
    ]


def _refusals(document: Mapping[str, Any]) -> list[str]:
    refused = [one for one in document["analyses"] if one["reason"] is not None]
    if not refused:
        return []
    return [
        f"Not estimated, because the sample is too small for it or a value is missing: {'; '.join(one['words'] for one in refused)}."
    ]


def sources(document: Mapping[str, Any]) -> list[str]:
    """What the methods cite."""
    left_out = set() if any(one["rare"] for one in _answered(document)) else {"rare"}
    left_out |= set() if len(samples_of(document)) > 1 else {"pooled"}
    return [words for key, words in SOURCES.items() if key not in left_out]


def methods_file(document: Mapping[str, Any]) -> str:
    """METHODS.md."""
    cited = "\n".join(f"- {words}" for words in sources(document))
    return f"# Methods\n\n{methods(document)}\n\n## Sources\n\n{cited}\n"


def readme(document: Mapping[str, Any]) -> str:
    """README.md."""
    return _README.format(
        corpus=document["corpus"]["name"],
        frame=f"{document['audit_sample']['frame']:,}",
        analyses="\n".join(_line(one) for one in document["analyses"]),
        several=_SEVERAL if len(samples_of(document)) > 1 else "",
        provenance="\n".join(f"| {name} | {value} |" for name, value in _provenance(document)),
    )


def _line(one: Mapping[str, Any]) -> str:
    if one["reason"] is None:
        return f"{one['number']}. {one['words']}"
    return f"{one['number']}. {one['words']}: not estimated. {one['reason']}"


def _provenance(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    samples, run = samples_of(document), document["run"]
    return [
        *(("labels given", f"snapshot {one['snapshot']['id']}, sha256 {one['snapshot']['digest']}") for one in samples),
        *(("audit sample", f"{one['id']}, sealed {one['sealed_at'][:10]}, frame sha256 {one['frame_digest']}") for one in samples),
        ("model", "none" if run is None else f"run {run['id']}, adapter {run['adapter_id']}, digest {run['adapter_digest']}"),
        ("seeds", f"sample {', '.join(str(one['seed']) for one in samples)}, predicted labels {document['seed']}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in document["versions"].items())),
    ]  # fmt: skip


_SEVERAL = """
Several samples are used together: `stratum.S`, `drawn.S`, `inclusion.S` belong to sample S (empty where it could not have drawn the
text), `share.S` is how much of the text's weight it carries. A text weighs the sum of share / probability over the samples that drew it;
`inclusion.N` is 1 over that where it was read, else the chance of being read at all. Texts that changed after they were read have a row
for each content, of which the newest frame's alone is asked about.
"""

_README = """# Replication package: estimates of {corpus}

{frame} texts, without a word of them: labels given, a model's held-out probabilities, the labels that experts gave to the texts of
a random sample, and the columns that the analyses use. Ids and clusters are hashed with a key that is not in here.

**Before you give it away** look through the columns `column.…` of `texts.csv`: they are as they were in the corpus, and several of
them together can point to a person.

| file | what |
|---|---|
| `texts.csv` | one row per text; `asked.N`, `read.N`, `inclusion.N`, `predicted.N.…` belong to analysis N |
| `analyses.csv` | outcome and coefficients of every analysis with estimate, standard error, interval and the naive estimate |
| `estimates.json` | the same with counts, refusals and where everything came from |
| `reproduce.py`, `reproduce.R` | solve every analysis anew and compare (numpy, and scipy for the ends of intervals; base R) |
| `dsl.R`, `ppi.R` | the same analyses with the packages dsl and ipd: other programs, near numbers |
| `METHODS.md`, `CITATION.cff` | the paragraph for the paper with its sources; how to cite this package |
| `SHA256SUMS` | `sha256sum -c SHA256SUMS` |

Columns of `texts.csv`: `drawn` 1 where the text was drawn, `inclusion` the probability of that by design, `stratum`, `student.…` the
label given (1, 0, empty: none), `probability.…` the model's, held out, `expert.…` the reader's. `read.N` is 1 where every label of
analysis N was settled; `inclusion.N` is the probability less the texts of the stratum that were not.
{several}
## Analyses

{analyses}

## Where it comes from

| | |
|---|---|
{provenance}
"""


def citation(document: Mapping[str, Any]) -> str:
    """CITATION.cff (1.2.0). Who wrote the study is for its authors to fill in."""
    name = document["corpus"]["name"].replace("\\", "\\\\").replace('"', '\\"')
    references = "".join(
        f'  - type: generic\n    authors:\n      - name: "{words.split(" (")[0]}"\n    title: "{_title(words)}"\n    year: {_year(words)}\n'
        for words in sources(document)
    )
    return (
        "cff-version: 1.2.0\n"
        'message: "Fill in the authors of the study, then cite this package as below."\n'
        "type: dataset\n"
        f'title: "Replication package: estimates of {name}"\n'
        "authors:\n"
        '  - name: "The authors of the study"\n'
        f"date-released: {document['audit_sample']['closed_at'][:10]}\n"
        f'identifiers:\n  - type: other\n    value: "{document["snapshot"]["digest"]}"\n    description: "sha256 of the labels given"\n'
        f"references:\n{references}"
        '  - type: software\n    authors:\n      - name: "The Remand contributors"\n    title: "Remand"\n'
        f'    version: "{document["versions"].get("remand", "0.1.0")}"\n'
    )


def _year(words: str) -> str:
    return words.split(" (")[1][:4]


def _title(words: str) -> str:
    return words.split("). ", 1)[1].split(". ", maxsplit=1)[0]
