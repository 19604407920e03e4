"""What the API takes about audit samples: the draw, readings, closing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.corpora.schemas import Key
from app.http.schemas import RequestModel

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Id = Annotated[str, StringConstraints(max_length=100)]
Purpose = Literal["totals", "stopping"]
Role = Literal["reader", "adjudicator"]
CERTIFY = 0.05


class StoppingClaim(RequestModel):
    """What a stopping plan declares before its first look."""

    at_most: int = Field(ge=0, le=10_000_000, description="Stop when at most so many wrong texts are left.")
    alpha: float = Field(
        0.05, gt=0, le=0.2, description="Chance of stopping falsely that is borne over all looks together."
    )
    looks: int = Field(
        1, ge=1, le=5, description="Looks that may be taken; each may spend alpha / looks, so each costs more texts."
    )  # fmt: skip


class AuditSampleRequest(RequestModel):
    """An audit sample to plan (`dry_run`) or to draw and seal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"corpus": "letters", "name": "before the paper", "size": 600, "readers": 2},
                {"corpus": "letters", "purpose": "stopping", "stopping": {"at_most": 100, "looks": 2}},
            ]
        }
    )

    corpus: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="A corpus's id or name."
    )
    name: Name | None = Field(None, description="Unique in the corpus; default: `audit 1`, `audit 2` …")
    purpose: Purpose = Field(
        "totals",
        description="totals: how many of all given labels are wrong; stopping: whether few enough wrong ones are left among "
        "the texts that reviews have not decided.",
    )
    size: int | None = Field(None, ge=1, le=1_000_000, description="Texts to draw. Or say `budget`.")
    budget: int | None = Field(
        None, ge=1, le=2_000_000, description="Readings to spend: with two readers half as many texts are drawn."
    )  # fmt: skip
    design: Literal["random", "stratified"] | None = Field(
        None,
        description="stratified: by bands of the newest ranking's suspicion, summed over each text's cells; default where there is a "
        "ranking. A stopping sample is always random.",
    )
    bands: int | None = Field(
        None,
        ge=2,
        le=20,
        description="Bands of a stratified sample, at the most; default: 8, and fewer in a sample of under 32 texts.",
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Decides what is drawn; default: drawn by the server, so that nobody can have tried out several.",
    )
    options: list[Key] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Options (or questions) that are read; default: all in use. A question with one answer is read as a whole.",
    )
    readers: Literal[1, 2] = Field(
        1, description="People who each read every text, not knowing of each other."
    )
    adjudicator: bool | None = Field(
        None,
        description="Whether a third person reads what the two differ on; default with two readers. Without one these cells "
        "stay undecided and count against.",
    )
    certify: float = Field(
        CERTIFY, gt=0, lt=1, description="Share of an option's labels of which one would like to be able to say that at most so many are wrong."
    )  # fmt: skip
    stopping: StoppingClaim | None = Field(None, description="With the purpose stopping: what is declared.")
    plan: Id | None = Field(
        None, description="The next look of this stopping plan (aud_…, any of its samples): instead of `stopping`."
    )  # fmt: skip

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str | None) -> str | None:
        if name is not None and not (name == name.strip() and name.isprintable()):
            raise ValueError("A name is one line without blanks at its ends.")
        return name


class ReadingRequest(RequestModel):
    """A blind reading of one text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"values": {"remorse": "yes", "outcome": "denied"}, "note": ""}]}
    )

    values: dict[Key, Annotated[str, StringConstraints(max_length=200)] | None] = Field(
        default_factory=dict,
        max_length=1000,
        description="A value for every cell that is asked: yes, no, uncertain, not_applicable; of a choose_one question an option's "
        "key; null: skipped. By option, or by question for a choose_one.",
    )
    skip: bool = Field(False, description="Skip the whole text: every cell counts against.")
    note: str = Field("", max_length=10_000)
    role: Role | None = Field(
        None, description="Default: reader while there is a reader's seat for you, else adjudicator."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ReadingRequest:
        if self.skip and self.values:
            raise ValueError("`skip` skips the whole text, so there are no `values`: leave one of them out.")
        return self


class AuditCloseRequest(RequestModel):
    """How a sample is closed."""

    skip_unread: bool = Field(
        False,
        description="Declare texts that were not read, and disputes that nobody settled, as skipped: they count against.",
    )
