"""What the API says and takes about corpora, schemes and texts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from app.corpora.consensus_methods import Method
from app.db.tables import Corpus
from app.http.paging import Cursor, Limit
from app.http.schemas import AnswerModel, RequestModel
from models.scheme import Dependency, Option, Question, QuestionKind, Scheme

_NAME_RULE = (
    "A name has no / \\ ? # %, no white space at its ends and no dot at its beginning, and is not empty."
)


def _named(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """The rule in words in place of the pattern."""
    try:
        return check(value)
    except ValidationError as error:
        if error.errors()[0]["type"] != "string_pattern_mismatch":
            raise
        raise PydanticCustomError("string_pattern_mismatch", "{rule}", {"rule": _NAME_RULE}) from None


Name = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=200,
        pattern=r"^[^.\s/\\?#%\x00-\x1f\x7f]([^/\\?#%\x00-\x1f\x7f]*[^\s/\\?#%\x00-\x1f\x7f])?$",
    ),
    WrapValidator(_named),
    Field(
        description="Usable in addresses in place of the id: no / \\ ? # %, no white space at the ends, no dot at the beginning.",
        examples=["letters"],
    ),
]
Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^\S([^\x00-\x1f\x7f]*\S)?$"),
    Field(description="As in the files that are imported.", examples=["remorse"]),
]
Words = Annotated[str, StringConstraints(max_length=20_000)]


class OptionDocument(RequestModel):
    """An option (label) with its name and definition."""

    key: Key
    name: Annotated[str, StringConstraints(max_length=500)] = ""
    definition: Words = Field(
        "", description="A changed definition reopens cells that were settled under the old one."
    )
    retired: bool = Field(False, description="No longer asked; its labels and its position stay.")


class QuestionDocument(RequestModel):
    """A question with its options."""

    key: Key
    kind: QuestionKind = Field(
        description="yes_no_set: every option is its own yes or no; choose_one: exactly one option."
    )
    options: list[OptionDocument] = Field(min_length=1, max_length=1000)
    name: Annotated[str, StringConstraints(max_length=500)] = ""
    definition: Words = ""


class DependencyDocument(RequestModel):
    """`option` can be yes only where one of `needs_any` is yes."""

    option: Key
    needs_any: list[Key] = Field(min_length=1, max_length=1000)


class SchemeRequest(RequestModel):
    """A codebook. Options keep their positions for ever; leaving one out retires it."""

    questions: list[QuestionDocument] = Field(max_length=200)
    dependencies: list[DependencyDocument] = Field(default_factory=list, max_length=1000)


class OptionAnswer(AnswerModel):
    """An option with its position: its place in every array of the corpus."""

    key: str
    position: int
    name: str
    definition: str
    retired: bool


class QuestionAnswer(AnswerModel):
    """A question with its options."""

    key: str
    kind: QuestionKind
    options: list[OptionAnswer]
    name: str
    definition: str


class DependencyAnswer(AnswerModel):
    """`option` can be yes only where one of `needs_any` is yes."""

    option: str
    needs_any: list[str]


class SchemeAnswer(AnswerModel):
    """A version of a corpus's codebook; version 0 is the empty scheme of a new corpus."""

    version: int
    questions: list[QuestionAnswer]
    dependencies: list[DependencyAnswer]


class CorpusRequest(RequestModel):
    """A corpus to make."""

    name: Name
    description: Words = ""
    sensitive: bool = Field(
        False, description="Texts are confidential: marked so on every page and in every export."
    )
    synthetic: bool = Field(False, description="Texts are made up: marked so everywhere.")
    fold_group: Key | None = Field(
        None,
        description="The grouping key that folds are split by, such as case or defendant; null: the import chooses.",
    )
    scheme: SchemeRequest | None = Field(None, description="Can also come from the first import.")


class CorpusChange(RequestModel):
    """What can be changed of a corpus."""

    name: Name
    description: Words = ""
    sensitive: bool = False
    fold_group: Key | None = None
    consensus: Method | None = Field(
        None,
        description="How annotators who differ are brought together: majority (ties are missing), dawid_skene (by how each errs), "
        "model_aware (and what the newest relabel run says, held out). Values that agree stand under each. Left out: as it is.",
    )


class CorpusAnswer(AnswerModel):
    """A corpus."""

    id: str = Field(examples=["cor_01k3zq4m1r6t8w0y2a4c6e8g"])
    name: str
    description: str
    sensitive: bool
    synthetic: bool
    fold_group: str | None
    consensus: Method = Field(description="How annotators who differ are brought together.")
    promoted_adapter_id: str | None = Field(description="The adapter that classifies for it by default.")
    promoted_summarizer_id: str | None = Field(description="The adapter that summarizes for it by default.")
    created_at: datetime


class CorpusDetail(CorpusAnswer):
    """A corpus with what it holds."""

    texts: int
    annotators: int
    options: int
    scheme_version: int


Filters = Annotated[
    list[str],
    Field(
        max_length=20,
        description="`key=value`; repeat it for several, all must hold.",
        examples=[["year=2019"]],
    ),
]


class TextListing(RequestModel):
    """Which texts to list."""

    limit: Limit = 50
    cursor: Cursor = None
    external_id: str | None = Field(None, max_length=500)
    split: str | None = Field(None, max_length=100, description="The given split: train, val, test …")
    metadata: Filters = Field(default_factory=list)
    group: Filters = Field(default_factory=list)


class TextAnswer(AnswerModel):
    """A text in a listing."""

    id: str = Field(examples=["txt_42"])
    external_id: str
    version: int
    characters: int
    given_split: str | None
    groups: dict[str, Any]
    metadata: dict[str, Any]
    beginning: str = Field(description="The first 200 characters.")


class VersionAnswer(AnswerModel):
    """One version of a text's content."""

    version: int
    characters: int
    job_id: str | None
    created_at: datetime


class TextDetail(TextAnswer):
    """A text with its content and the history of its versions."""

    content: str
    versions: list[VersionAnswer]


def corpus_answer(corpus: Corpus) -> CorpusAnswer:
    """The API's form of a corpus row."""
    return CorpusAnswer(**{name: getattr(corpus, name) for name in CorpusAnswer.model_fields})


def scheme_of(request: SchemeRequest) -> Scheme:
    """The scheme that a request describes; positions are not settled yet (`scheme_rules.changed`)."""
    questions = tuple(
        Question(
            key=question.key,
            kind=question.kind,
            options=tuple(Option(o.key, 0, o.name, o.definition, o.retired) for o in question.options),
            name=question.name,
            definition=question.definition,
        )
        for question in request.questions
    )
    dependencies = tuple(Dependency(d.option, tuple(d.needs_any)) for d in request.dependencies)
    return Scheme(questions, dependencies)


def scheme_answer(version: int, scheme: Scheme) -> SchemeAnswer:
    """The API's form of a scheme version."""
    return SchemeAnswer.model_validate({"version": version, **scheme.to_document()})
