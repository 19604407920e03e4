"""What the API says and takes about samples of texts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from app.corpora.schemas import Key
from app.db.tables import Sample
from app.http.schemas import AnswerModel, RequestModel

Strategy = Literal["stratified", "random", "uncertainty", "diversity", "uncertain_diverse"]
Split = Annotated[str, StringConstraints(min_length=1, max_length=100)]
HELD_OUT_SPLITS = ("val", "valid", "validation", "dev", "test", "heldout", "held-out", "held_out")
"""Given splits that clusters are never fitted on, unless a request names others; upper or lower case."""


class SampleFrame(RequestModel):
    """Which texts may be drawn; every condition must hold."""

    splits: list[Split] | None = Field(
        None, min_length=1, max_length=50, description="Only texts of these given splits."
    )
    metadata: dict[Key, Annotated[str, StringConstraints(max_length=500)]] = Field(
        default_factory=dict, max_length=20, description="Only texts whose metadata have these values."
    )
    labels: Literal["any", "labelled", "unlabelled"] = Field(
        "any", description="labelled: at least one cell has a consensus value now; unlabelled: none has."
    )
    exclude_samples: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        default_factory=list, max_length=100, description="No texts of these earlier samples (smp_…)."
    )


class SampleRequest(RequestModel):
    """A sample to draw and record. Fields that the strategy has no use for are refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"strategy": "stratified", "size": 2000, "seed": 1},
                {"strategy": "uncertain_diverse", "size": 200, "random_share": 0.2, "frame": {"labels": "unlabelled"}},
            ]
        }
    )  # fmt: skip

    strategy: Strategy = Field(
        "stratified",
        description="stratified: by number of yes labels × TF-IDF cluster; random: simple random; uncertainty: texts that the newest "
        "relabel run is least sure of; diversity: texts unlike each other; uncertain_diverse: diverse ones among the least sure.",
    )
    size: int = Field(
        ge=1, le=1_000_000, description="Number of texts, at most those of the frame.", examples=[500]
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="The same seed over the same texts and labels draws the same sample."
    )
    frame: SampleFrame = Field(default_factory=SampleFrame)
    clusters: Annotated[int, Field(ge=1, le=500)] | Literal["auto"] = Field(
        "auto", description="TF-IDF clusters; stratified only."
    )
    allocation: Literal["proportional", "equal", "neyman"] = Field(
        "proportional", description="How the texts are spread over strata; stratified only."
    )
    least: int = Field(
        1, ge=1, le=10_000, description="Texts of every stratum at the least; stratified only."
    )
    smallest: int = Field(
        5,
        ge=1,
        le=100_000,
        description="Strata of fewer texts are merged into others; stratified only.",
    )
    held_out_splits: list[Split] = Field(
        default_factory=lambda: list(HELD_OUT_SPLITS),
        max_length=50,
        description="Texts of these given splits are never fitted on, only placed in clusters and directions.",
    )
    run: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None,
        description="The relabel run (run_…) whose predictions or embeddings are used; default: the newest finished one.",
    )
    measure: Literal["entropy", "margin"] = Field(
        "entropy", description="entropy: mean over cells; margin: the closest call. Uncertainty only."
    )
    random_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the sample drawn at random of the whole frame, with a known inclusion probability.",
    )
    spreading: Literal["k_center", "k_means++"] = Field(
        "k_center", description="How diverse texts are picked; diversity only."
    )
    pool: float = Field(
        5.0, ge=1, le=1000, description="uncertain_diverse: as many times the texts it picks are looked at."
    )


class SampleEstimate(AnswerModel):
    """What a sample would be drawn from; nothing was stored."""

    corpus_id: str
    strategy: Strategy
    size: int
    frame: int = Field(description="Texts that may be drawn.")
    labelled: int = Field(description="Of these, with at least one consensus value.")
    fitted: int = Field(description="Texts that clusters or directions would be fitted on.")
    predicted: int | None = Field(description="Texts of the frame that the run has predicted; null where none is used.")  # fmt: skip


class SampleSummary(AnswerModel):
    """A recorded sample in a listing."""

    id: str = Field(examples=["smp_01k3zq5w0v8n2m4c6x7y9abc"])
    corpus_id: str
    strategy: str
    seed: int
    size: int
    frame: int = Field(description="Texts it was drawn from.")
    represents_frame: bool = Field(
        description="Whether the texts with an inclusion probability, weighted by 1/π, stand for the whole frame."
    )
    certain: int = Field(
        description="Texts taken for their score and not by chance: they have no inclusion probability."
    )
    snapshot_id: str | None = Field(description="The label snapshot it was drawn on.")
    job_id: str | None
    created_at: datetime


class SampleAnswer(SampleSummary):
    """A recorded sample with its request and report. Its texts: `/samples/{id}/texts`."""

    spec: dict[str, Any] = Field(description="What was asked for.")
    report: dict[str, Any] = Field(
        description="Frame, strata (texts N_h, drawn n_h, inclusion π, positives, mean length, top terms), merges, "
        "clusters, and the prevalence of every option in frame and sample."
    )


class SampledText(AnswerModel):
    """A text of a sample."""

    place: int = Field(description="From 1; picks come first to last, drawn texts by their number.")
    text_id: str = Field(examples=["txt_42"])
    external_id: str
    inclusion_probability: float | None = Field(
        description="The chance that the design gave this text: n_h/N_h. Null where it was picked for its score."
    )
    certain: bool = Field(description="Picked for its score: leave it out of every estimate about the frame.")
    stratum: int | None = Field(description="Its stratum in the report; null where there are none.")
    labelled: bool = Field(description="Whether somebody has annotated it by now.")
    beginning: str = Field(description="The first 200 characters.")


def sample_summary(sample: Sample) -> SampleSummary:
    """The API's form of a sample in a listing."""
    certain = sum(value is None for value in sample.inclusion)
    return SampleSummary(
        id=sample.id,
        corpus_id=sample.corpus_id,
        strategy=sample.method,
        seed=sample.seed,
        size=len(sample.text_ids),
        frame=sample.frame_size,
        represents_frame=certain < len(sample.text_ids),
        certain=certain,
        snapshot_id=sample.snapshot_id,
        job_id=sample.job_id,
        created_at=sample.created_at,
    )


def sample_answer(sample: Sample) -> SampleAnswer:
    """The API's form of a sample."""
    return SampleAnswer(**sample_summary(sample).model_dump(), spec=sample.spec, report=sample.report)
