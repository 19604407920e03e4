"""Body and answer of POST /classify."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from app.http.schemas import AnswerModel, RequestModel
from app.inference.explain_schemas import Explain, Explanation


class Neighbours(RequestModel):
    """The texts of the same group around one text."""

    before: list[str] = Field(
        default_factory=list, max_length=1000, description="Texts above it, in order, the nearest last."
    )
    after: list[str] = Field(
        default_factory=list, max_length=1000, description="Texts below it, the nearest first."
    )


class ClassifyBody(RequestModel):
    """One text or several, and who shall read them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"corpus": "letters", "text": "Your Honor, I am sorry for what I did."},
                {
                    "corpus": "letters",
                    "text": "Your Honor, I am sorry for what I did.",
                    "explain": {"options": ["remorse"], "top": 5},
                },
            ]
        }
    )
    text: str | None = Field(None, description="One text. Give this or `texts`.")
    texts: list[str] | None = Field(None, description="Several texts (REMAND_MAX_TEXTS_PER_REQUEST at most).")
    adapter: str | None = Field(
        None,
        description="Adapter id; default: the promoted adapter of `corpus`.",
        examples=["adp_01k3zq5w0v8n2m4c6x7y9abc"],
    )
    corpus: str | None = Field(None, description="Corpus whose promoted adapter reads, by name or id.")
    contexts: list[Neighbours | None] | None = Field(
        None,
        description="What stands around each text, for adapters that read it: one entry per text, null or an empty one where nothing "
        "is known. Such a text is read alone; the adapter's report has both figures.",
    )
    pool: Literal["mean", "max"] = Field(
        "mean",
        description="How the windows of a long text become one answer: `mean` over all of it, as the adapter was trained, or each option's strongest window.",
    )
    explain: Explain = Field(
        None,
        description="Whether to say which words and sentences speak for and against each option: true, or which `options` and how many words (`top`). Takes seconds; at most REMAND_EXPLAIN_TEXTS texts.",
    )


class Stretch(AnswerModel):
    """Characters start to end (exclusive) of the text sent."""

    start: int
    end: int


class OptionReading(AnswerModel):
    """What the model says about one option."""

    key: str
    name: str
    question: str
    probability: float = Field(description="Calibrated probability of yes.")
    threshold: float = Field(
        description="The adapter's threshold for this `reading`; unused in a choose_one question."
    )
    decision: bool = Field(
        description="Yes at the threshold; in a choose_one question, whether it is the most probable option."
    )
    decided_by: Stretch | None = Field(
        description="The window that speaks most for the option; null when the text fits one window."
    )


class TextReading(AnswerModel):
    """One text as read. `error` says why a text could not be read; the others of the request are unharmed."""

    options: list[OptionReading]
    windows: int = Field(
        description="Windows the text was read in; more than one when it is longer than the model's window."
    )
    truncated: bool = Field(
        description="Whether some of it was left unread. Long texts are read to their end in windows, so this is false."
    )
    reading: Literal["with_context", "alone"] | None = Field(
        None,
        description="Whether what stands around the text was read too. An adapter that reads contexts has thresholds for each. Null "
        "where the text could not be read.",
    )
    error: str | None = None
    explanation: Explanation | None = Field(
        None, description="What speaks for and against each option; only where `explain` asked for it."
    )


class ReadBy(AnswerModel):
    """The model that answered."""

    adapter: str
    name: str
    digest: str = Field(description="Digest of the adapter's manifest: the model version.")
    base_model: str
    corpus_id: str | None


class ClassifyAnswer(AnswerModel):
    """An entry in `results` per text, in the order sent."""

    model: ReadBy
    results: list[TextReading]
    warning: str | None = Field(
        None, description="What makes these readings less good than the adapter's report says."
    )
