"""Bodies and answers of `explain` in POST /classify."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.http.schemas import AnswerModel, RequestModel

WORDS = 25
MOST_WORDS = 1_000


class ExplainChoice(RequestModel):
    """Which options are explained, and with how many words."""

    options: list[str] | None = Field(
        None,
        description="Option keys; default: all, or the most probable ones where there are more than REMAND_EXPLAIN_OPTIONS.",
        examples=[["remorse"]],
    )
    top: int = Field(WORDS, ge=1, le=MOST_WORDS, description="Words listed per option, the weightiest ones.")


def _as_choice(value: Any) -> Any:
    if value is None:
        raise ValueError("give true, false, or an object with `options` and `top`")
    if isinstance(value, bool):
        return {} if value else None
    return value


Explain = Annotated[
    ExplainChoice | None, BeforeValidator(_as_choice, json_schema_input_type=bool | ExplainChoice)
]
"""As sent: true, false or a choice. As read: a choice, None for no explanation."""


class Characters(AnswerModel):
    """Characters start to end (exclusive) of the text sent."""

    start: int
    end: int


class WordWeight(Characters):
    """A word, and what it adds to the option's logit: positive speaks for the option, negative against it."""

    text: str
    weight: float


class OtherWords(AnswerModel):
    """The words that are not listed, together."""

    count: int
    weight: float


class SentenceWeight(Characters):
    """What would be lost without a sentence: the logit and the probability of the text less those of the text without it."""

    delta_logit: float
    delta_probability: float


class OptionExplanation(AnswerModel):
    """One option: `base_logit` + all words = `logit`, up to `completeness_error`."""

    key: str
    logit: float = Field(description="The model's logit before calibration.")
    base_logit: float = Field(
        description="The logit of the text with its words blanked; of a long text with the explained windows blanked."
    )
    words: list[WordWeight] = Field(description="The weightiest words, strongest first.")
    other_words: OtherWords
    sentences: list[SentenceWeight] = Field(
        description="Every sentence in the order of the text; in long texts runs of neighbouring sentences."
    )
    completeness_error: float = Field(description="|logit - base_logit - all words|.")
    bound: float = Field(
        description="What the completeness error was to stay below: 0.02, or 2 % of what is explained. A larger error is to be distrusted."
    )
    steps: int = Field(
        description="Steps of the integration; 0 where the option was never trained and answers a fixed logit."
    )


class Explanation(AnswerModel):
    """What in a text speaks for and against its options. `error` says why there is no explanation; the reading stands."""

    method: Literal["integrated-gradients"] = Field(
        "integrated-gradients",
        description="Of the words: integrated gradients over the encoder's embeddings, plus the exact shares of TF-IDF terms. Sentences: each left out in turn.",
    )
    precision: str | None = Field(None, description="What the encoder's part was computed in.")
    windows: int = Field(0, description="Windows the text was read in.")
    explained_windows: list[Characters] = Field(
        default_factory=list,
        description="The windows whose words the encoder's part is spread over; the others stand still in `base_logit`.",
    )
    sentences_in_text: int = 0
    options: list[OptionExplanation] = Field(default_factory=list)
    error: str | None = None
