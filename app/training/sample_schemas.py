"""The sample that a train job draws by itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from app.http.schemas import RequestModel


class InlineSample(RequestModel):
    """A sample drawn within each training part: fold k's of fold k's part, with clusters fitted on that part alone."""

    strategy: Literal["stratified", "random"] = Field(
        "stratified", description="By number of yes labels × TF-IDF cluster, or simple random."
    )
    size: int = Field(
        ge=2,
        le=10_000_000,
        description="Rows of each training part; a part that has fewer gives all of them.",
    )
    clusters: Annotated[int, Field(ge=1, le=500)] | Literal["auto"] = "auto"
    allocation: Literal["proportional", "equal", "neyman"] = "proportional"
    least: int = Field(1, ge=1, le=10_000, description="Rows of every stratum at the least.")
    smallest: int = Field(5, ge=1, le=100_000, description="Strata of fewer rows are merged into others.")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Default: the job's.")


def _kind(given: Any) -> str:
    return "recorded" if isinstance(given, str) else "inline"


TrainingSample = Annotated[
    Annotated[str, StringConstraints(max_length=100), Tag("recorded")]
    | Annotated[InlineSample, Tag("inline")],
    Discriminator(_kind),
]
"""The id of a recorded sample (smp_…), or a sample to draw."""
