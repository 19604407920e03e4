import numpy as np

from models.audit.findings import Conflict, Violation, conflicts, violations
from models.data.near_duplicates import signatures
from models.scheme import MISSING, Dependency, Option, Question, QuestionKind, Scheme

KINDS = Question("kinds", QuestionKind.YES_NO_SET, (Option("law", 0), Option("facts", 1)))
WHO = Question("who", QuestionKind.YES_NO_SET, (Option("court", 2), Option("state", 3)))
TONE = Question("tone", QuestionKind.CHOOSE_ONE, (Option("calm", 4), Option("angry", 5)))
SCHEME = Scheme((KINDS, WHO, TONE), (Dependency("law", ("court", "state")), Dependency("facts", ("court",))))

LONG = "The applicant complained that he had been dismissed from his post solely on the ground that he was in a new relationship with another partner at that time"


def rows(*values):
    return np.array(values, dtype=np.int8)


def test_an_argument_without_a_speaker_is_found_and_one_with_a_missing_speaker_is_not():
    labels = rows(
        [1, 0, 0, 0, 1, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 1, 0, MISSING, 1, 0],
        [0, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],
    )
    assert violations(labels, SCHEME) == [
        Violation(0, "law", ("court", "state")),
        Violation(2, "facts", ("court",)),
        Violation(4, "law", ("court", "state")),
        Violation(4, "facts", ("court",)),
    ]


def test_copies_with_different_values_conflict_and_a_missing_value_does_not():
    texts = ["THE FACTS", "the  facts", "The facts", "THE LAW", LONG, LONG.replace("solely", "only")]
    labels = rows(
        [0, 0, 1, 0, 1, 0],
        [0, 1, 1, 0, 0, 1],
        [0, 0, 1, MISSING, 1, 0],
        [1, 1, 1, 1, 1, 0],
        [0, 0, 1, 1, 1, 0],
        [0, 0, 0, 1, 1, 0],
    )
    found = conflicts(texts, labels, SCHEME, signatures(texts))
    assert found == [
        Conflict(0, 1, "exact", (1, 4)),
        Conflict(1, 2, "exact", (1, 4)),
        Conflict(4, 5, "near", (2,)),
    ]


def test_a_heading_that_occurs_often_is_one_pair_per_way_of_labelling_it():
    texts = ["THE FACTS"] * 400
    labels = np.tile(rows([0, 0, 1, 0, 1, 0]), (400, 1))
    labels[200:, 0] = 1
    assert conflicts(texts, labels, SCHEME, signatures(texts)) == [Conflict(0, 200, "exact", (0,))]


def test_no_duplicates_no_findings():
    texts = ["one heading", "another heading"]
    assert conflicts(texts, rows([0] * 4 + [1, 0], [1] * 4 + [0, 1]), SCHEME, signatures(texts)) == []
