from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.sentences import split_sentences


def sentences(text):
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["The Court so held in Smith v. Jones, no. 1234/05, § 12.", "It did so again."],
        ["He relied on Art. 6 § 1 of the Convention.", "The Government disagreed."],
        ["43. The applicant complained.", "44. The Government disputed that."],
        ["Mr. J. R. Smith appeared for the defence.", "Dr. A. Cohen did not."],
        ["It was decided in the U.S. Supreme Court.", "Nobody appealed."],
        ["He left the U.S.", "The court noted this."],
        ["The company is Acme Ltd. and it paid.", "Nothing followed."],
        ["She said: “I am sorry.”", "Then she left."],
        ["My mother is ill.", "My answer is no.", "I go to church, no. 5 in Main St. downtown."],
        ["Was there a violation?", "There was!", "So the Court found."],
        ["See 42 U.S.C. § 1983 and Fed. R. Civ. P. 12(b)(6).", "The motion is denied."],
        [
            "They agreed (see Lawless v. Ireland (no. 3), 1 July 1961. See also Klass, § 33) and went on.",
            "So be it.",
        ],
        ["The fee was 12.50 euros, i.e. little.", "It was paid on 3 Sept. 2004."],
        ["This follows from the Convention.[12]", "No more is needed."],
        ["The text is.[35].", "It goes on."],
        ["“... Everyone has the right to respect.”", "That is all."],
        ["I. ALLEGED VIOLATION OF ARTICLE 8"],
        ["בית המשפט דחה את הערעור.", "המערער א. כהן טען אחרת.", "האם צדק?", "לא."],
        ["על פי ס' 5 לחוק העונשין, התשל\"ז-1977, דינו מאסר.", 'כך נקבע בע"פ 1234/05.'],
    ],
)
def test_legal_sentences_stay_whole(parts):
    assert sentences(" ".join(parts)) == parts


def test_lines_that_begin_with_a_number_or_a_bullet_are_their_own():
    assert sentences("The aims are:\n(a) safety\n(b) order\n- peace\n\nTHE LAW\n\n1. First") == [
        "The aims are:",
        "(a) safety",
        "(b) order",
        "- peace",
        "THE LAW",
        "1. First",
    ]


def test_a_wrapped_line_does_not_end_a_sentence():
    assert sentences("The applicant was\nborn in 1960. He lives\nin Vienna.") == [
        "The applicant was\nborn in 1960.",
        "He lives\nin Vienna.",
    ]


def test_a_bracket_left_open_does_not_swallow_the_rest():
    text = "They agreed (see the file. " + "This is one more sentence of the text. " * 40
    assert len(sentences(text)) > 10


@given(st.text(alphabet="aB1 .!?()[]\n\"'א״v§…", max_size=120))
def test_sentences_cover_every_character_that_is_not_white_space_once_and_in_order(text):
    spans = split_sentences(text)
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    for start, end in spans:
        assert start < end
        assert text[start:end] == text[start:end].strip()


def test_chinese_and_urdu_sentences_end_at_their_own_marks():
    text = "法院认为申请有理。申请人被拘留了！（见第6条。）为什么？"
    assert [text[start:end] for start, end in split_sentences(text)] == [
        "法院认为申请有理。", "申请人被拘留了！", "（见第6条。）", "为什么？",
    ]  # fmt: skip
    urdu = "عدالت نے فیصلہ دیا۔ درخواست منظور ہوئی۔"
    assert len(split_sentences(urdu)) == 2


def test_a_text_in_small_letters_throughout_has_sentences_too():
    text = "you may use the services. we may end them, e.g. if you breach art. 5. no refunds are given."
    assert [text[start:end] for start, end in split_sentences(text)] == [
        "you may use the services.", "we may end them, e.g. if you breach art. 5.", "no refunds are given.",
    ]  # fmt: skip
