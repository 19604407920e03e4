import numpy as np

from models.audit.findings import Conflict, Violation, conflicts, content_codes, near_contents, violations
from models.data.near_duplicates import content_digests, signatures
from models.scheme import MISSING, Dependency, Option, Question, QuestionKind, Scheme

KINDS = Question("kinds", QuestionKind.YES_NO_SET, (Option("law", 0), Option("facts", 1)))
WHO = Question("who", QuestionKind.YES_NO_SET, (Option("court", 2), Option("state", 3)))
TONE = Question("tone", QuestionKind.CHOOSE_ONE, (Option("calm", 4), Option("angry", 5)))
SCHEME = Scheme((KINDS, WHO, TONE), (Dependency("law", ("court", "state")), Dependency("facts", ("court",))))

LONG = "The applicant complained that he had been dismissed from his post solely on the ground that he was in a new relationship with another partner at that time"


def rows(*values):
    return np.array(values, dtype=np.int8)


def conflicting(texts, labels):
    codes = content_codes(content_digests(texts))
    return conflicts(codes, near_contents(codes, signatures(texts)), labels, SCHEME)


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
    found = conflicting(texts, labels)
    assert found == [
        Conflict(0, 1, "exact", (1, 4)),
        Conflict(1, 2, "exact", (1, 4)),
        Conflict(4, 5, "near", (2,)),
    ]


def test_a_heading_that_occurs_often_is_one_pair_per_way_of_labelling_it():
    texts = ["THE FACTS"] * 400
    labels = np.tile(rows([0, 0, 1, 0, 1, 0]), (400, 1))
    labels[200:, 0] = 1
    assert conflicting(texts, labels) == [Conflict(0, 200, "exact", (0,))]


def test_no_duplicates_no_findings():
    texts = ["one heading", "another heading"]
    assert conflicting(texts, rows([0] * 4 + [1, 0], [1] * 4 + [0, 1])) == []


def test_every_way_of_labelling_a_text_is_held_against_every_way_of_labelling_its_near_duplicate():
    texts = [LONG, LONG, LONG.replace("solely", "only"), LONG.replace("solely", "only"), LONG]
    labels = rows(
        [0, 0, 1, 0, 1, 0], [0, 0, 0, 0, 1, 0], [0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0, 0, 1, 0, 1, 0]
    )
    assert conflicting(texts, labels) == [
        Conflict(0, 1, "exact", (2,)),
        Conflict(0, 2, "near", (3,)),
        Conflict(1, 2, "near", (2, 3)),
        Conflict(1, 3, "near", (2,)),
        Conflict(2, 3, "exact", (3,)),
    ]
