"""Bodies and answers of POST /generate and POST /perplexity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from app.http.schemas import AnswerModel, RequestModel

MOST_TOKENS = 4096
MOST_BEAMS = 16
MOST_STOPS = 16
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
BaseName = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class GenerateBody(RequestModel):
    """One prompt or several, who writes, and how tokens are chosen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "adapter": "adp_01k3zq5w0v8n2m4c6x7y9abc",
                    "prompt": "The petitioner contends that",
                    "max_tokens": 200,
                    "temperature": 0.8,
                    "top_p": 0.95,
                    "seed": 7,
                    "compare": True,
                },
                {"base_model": "gpt-j-6b", "prompt": "The court held that", "stop": ["\n\n"]},
            ]
        }
    )
    prompt: str | None = Field(None, description="One prompt. Give this or `prompts`.")
    prompts: list[str] | None = Field(
        None,
        description="Several prompts (REMAND_MAX_PROMPTS_PER_REQUEST at most); each is written for itself.",
    )
    adapter: str | None = Field(
        None,
        description="Id of an adapter of the task `causal`.",
        examples=["adp_01k3zq5w0v8n2m4c6x7y9abc"],
    )
    base_model: BaseName | None = Field(
        None,
        description="Instead of an adapter: a base model that writes, by catalog name or as a folder that the operator allows.",
        examples=["gpt-j-6b"],
    )
    compare: bool = Field(
        False,
        description="Whether the adapter's base model answers, too, with the same seeds: `base` in the answer.",
    )
    max_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS,
        description="Most tokens written per prompt; default: 256, or as many as the model has room for.",
    )  # fmt: skip
    min_tokens: int = Field(0, ge=0, le=MOST_TOKENS, description="Tokens before which the text does not end.")
    temperature: float = Field(
        0.0,
        ge=0,
        le=5,
        description="0: always the most probable token; else the higher, the more is left to chance.",
    )
    top_k: int = Field(0, ge=0, le=1_000_000, description="Draw among the k most probable tokens; 0: all.")
    top_p: float = Field(
        1.0,
        ge=1e-6,
        le=1,
        description="Draw among the fewest most probable tokens that together have this probability.",
    )
    repetition_penalty: float = Field(
        1.0, ge=0.5, le=5, description="Above 1 makes tokens that stood before less probable."
    )
    beams: int = Field(
        1, ge=1, le=MOST_BEAMS, description="Above 1: beam search, the most probable text of so many followed at once. Needs temperature 0."
    )  # fmt: skip
    seed: int | None = Field(
        None, ge=0, lt=2**53,
        description="The same seed gives the same text, whatever else is asked at the time; prompt i is written with seed + i. Default: one is chosen and told.",
    )  # fmt: skip
    stop: list[Stop] | None = Field(
        None,
        max_length=MOST_STOPS,
        description="The text ends before the first of these.",
        examples=[["\n\n"]],
    )
    stream: bool = Field(
        False,
        description="Whether to answer with Server-Sent Events as text is written. For one prompt, without beams.",
    )


class WrittenBy(AnswerModel):
    """The model that wrote."""

    adapter: str | None = Field(description="Null for a base model.")
    name: str
    digest: str | None = Field(description="Digest of the adapter's manifest: the model version.")
    base_model: str
    base_sha256: str = Field(description="Of the base model's weights.")
    family: str
    corpus_id: str | None


class Written(AnswerModel):
    """What follows one prompt. `error` says why there is no text; the others of the request are unharmed."""

    text: str = Field(
        description="What follows the prompt, as it follows it: with the space before, if there is one."
    )
    tokens: int = Field(description="Tokens written, the end mark not counted.")
    prompt_tokens: int
    finish: Literal["end", "stop", "length"] | None = Field(
        description="`end`: the model ended the text; `stop`: before a stop string; `length`: at `max_tokens`. Null with an error."
    )
    seed: int
    error: str | None = None


class BaseAnswer(AnswerModel):
    """What the adapter's base model wrote, prompt by prompt."""

    model: WrittenBy
    results: list[Written]


class GenerateAnswer(AnswerModel):
    """An entry in `results` per prompt, in the order sent."""

    model: WrittenBy
    results: list[Written]
    base: BaseAnswer | None = Field(None, description="With `compare`: the base model's texts.")
    seed: int = Field(description="Of the first prompt; send it again for the same texts.")
    warnings: list[str]


class PerplexityBody(RequestModel):
    """Texts, and who reads them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"adapter": "adp_01k3zq5w0v8n2m4c6x7y9abc", "text": "The judgment below is reversed."}
            ]
        }
    )
    text: str | None = Field(None, description="One text. Give this or `texts`.")
    texts: list[str] | None = Field(
        None, description="Several texts (REMAND_MAX_PROMPTS_PER_REQUEST at most)."
    )
    adapter: str | None = Field(
        None, description="Id of an adapter of the task `causal`; its base model is measured, too."
    )
    base_model: BaseName | None = Field(None, description="Instead of an adapter: a causal base model.")


class TextPerplexity(AnswerModel):
    """How surprising a text is to the models: e to the mean negative log-likelihood of its tokens. Lower is less surprising."""

    tokens: int = Field(description="Tokens predicted: all but the first of each window.")
    perplexity: float | None
    base_perplexity: float | None = Field(description="Of the adapter's base model, over the same tokens.")
    ratio: float | None = Field(description="Adapter over base; below 1 the adapter knows such texts better.")
    error: str | None = None


class PerplexityAnswer(AnswerModel):
    """An entry in `results` per text, in the order sent."""

    model: WrittenBy
    results: list[TextPerplexity]
    window: int = Field(description="Tokens read at once, each window from its own beginning.")
    warnings: list[str]
