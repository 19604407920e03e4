"""The sample that a train job draws of each training part, as its request says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.data.sampling import SMALLEST, Allocation, Design


class SampleRequest(BaseModel):
    """Every fold draws of its own training part, and the final fit of all rows; held-out rows are all predicted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal["stratified", "random"] = "stratified"
    """By number of yes labels × TF-IDF cluster of that part, or simple random."""
    size: int = Field(ge=2)
    """Rows; a part that has fewer gives all of them."""
    clusters: Literal["auto"] | Annotated[int, Field(ge=1, le=500)] = "auto"
    allocation: Allocation = "proportional"
    least: int = Field(default=1, ge=1)
    smallest: int = Field(default=SMALLEST, ge=1)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    """None: the job's."""

    def design(self, rows: int, seed: int) -> Design:
        """For a part of so many rows; `seed` is the job's."""
        own = seed if self.seed is None else self.seed
        return Design(min(self.size, rows), own, self.allocation, self.least, self.smallest)
