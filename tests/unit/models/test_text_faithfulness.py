"""What of a summary its source does not have: traps that a reader would set, and properties over made texts."""

from datetime import date

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.text.faithfulness import check, faithfulness

SOURCE = """
The applicant, Mr. John Q. Smith, was born in Vienna in 1960. On 3 May 2019 he was arrested by the Austrian police at 14:30.
He was fined EUR 5,000 and held for three days, contrary to Article 5 § 1 of the Convention. Jane Miller, his lawyer, complained
on Monday. The European Court of Human Rights, in Jones v. Austria (no. 1234/05), held otherwise; see 42 U.S.C. § 1983 and Rule 12(b)(6).
Between 5 and 10 percent of detainees complained. The damages were $1.2 million, the town has 21,000 inhabitants.
"""


def unsupported(summary, source=SOURCE):
    return [(item.kind, summary[item.start : item.end]) for item in faithfulness(summary, source).unsupported]


@pytest.mark.parametrize(
    "summary",
    [
        "Mr Smith was held for 3 days and fined 5.000 euros.",
        "John Smith was arrested on May 3rd, 2019 at 2:30 p.m.",
        "He was arrested on 2019-05-03, or 03/05/2019, in May 2019, in 2019.",
        "The 3rd of May, 2019 was the day of the arrest of the Viennese Mr. Smith.".replace("Viennese ", ""),
        "The ECHR decided Jones v. Austria, application no. 1234/05.",
        "Art. 5 and section 1983 were cited, as was Rule 12(b).",
        "Five percent complained; 5 % and 10% are given, and 1,200,000 dollars.",
        "Twenty-one thousand people live there: 21 000.",
        "Austria was criticised by the European Court, said lawyer Jane Miller.",
        "Lawyer Jane Miller complained of the Police.",
        "They're late. Nothing helps. Speaking helps. Everyone's fine. Hardly anybody knows.",
        "It goes to third parties, a 3rd party and third-party lawyers.",
        "The Applicant's arrest was in the Town.",
        "Both arrests, one fine, the second of two.".replace("two", "three"),
        "",
        "!!!",
    ],
)
def test_what_the_source_has_in_another_form_is_supported(summary):
    assert unsupported(summary) == []


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("He was held for 4 days.", [("number", "4")]),
        ("He was held for four days.", [("number", "four")]),
        ("He was fined $5,000.", [("number", "$5,000")]),
        ("He was fined 50,000 euros.", [("number", "50,000 euros")]),
        ("The town has 21 % inhabitants.", [("number", "21 %")]),
        ("Seven percent complained.", [("number", "Seven percent")]),
        ("The damages were $1.2 billion.", [("number", "$1.2 billion")]),
        ("He was arrested on 4 May 2019.", [("date", "4 May 2019")]),
        ("He was arrested on 3 May 1960.", [("date", "3 May 1960")]),
        ("It began at 14:31 on Tuesday in June.", [("date", "14:31"), ("date", "Tuesday"), ("date", "June")]),
        ("Smith v. Austria was overruled.", [("citation", "Smith v. Austria")]),
        (
            "In Jones v. Germany, Article 6 was read.",
            [("citation", "Jones v. Germany"), ("citation", "Article 6")],
        ),
        (
            "See 42 U.S.C. § 1984 and no. 1234/06.",
            [("citation", "42 U.S.C. § 1984"), ("citation", "1234/06")],
        ),
        ("See Rule 12(b)(5).", [("citation", "Rule 12(b)(5)")]),
        ("Section 5 was breached.", [("citation", "Section 5")]),
        ("His lawyer was John Miller.", [("name", "John Miller")]),
        ("Lawyer Jane Q. Smith complained.", [("name", "Lawyer Jane Q. Smith")]),
        ("Barack Obama said so to Microsoft.", [("name", "Barack Obama"), ("name", "Microsoft")]),
        ("The judge was Mr. Johnson.", [("name", "Mr. Johnson")]),
        ("The NATO court decided.", [("name", "NATO")]),
        ("Microsoft argues otherwise.", [("name", "Microsoft")]),
        ("Julia and Gary lost.", [("name", "Julia"), ("name", "Gary")]),
        ("Lisa didn't come. Brenda's car did.", [("name", "Lisa"), ("name", "Brenda's")]),
    ],
)
def test_what_the_source_does_not_have_is_named_with_its_place(summary, expected):
    assert unsupported(summary) == expected


def test_a_year_may_stand_elsewhere_only_where_the_day_has_none():
    source = "In 2019 there was a trial. On 5 May he left. On 4 June 2020 she did."
    assert unsupported("He left on 5 May 2019.", source) == []
    assert unsupported("She left on 4 June 2019.", source) == [("date", "4 June 2019")]


def test_numbers_of_a_list_are_read_one_by_one():
    assert unsupported("Articles 6, 8 and 9 apply.", "Articles 6, 8 and 10 of the Convention.") == [
        ("citation", "Articles 6, 8 and 9")
    ]
    assert unsupported("Articles 6 and 10 apply.", "Articles 6, 8 and 10 of the Convention.") == []


def test_speakers_of_a_dialogue_are_names_not_numbers():
    source = "#Person1#: Shall we meet at three?\n#Person2#: Yes, Tom."
    assert unsupported("#Person1# and #Person2# meet Tom at 3.", source) == []
    assert unsupported("#Person3# meets #Person1#.", source) == [("name", "Person3")]


def test_a_script_without_capitals_has_no_names_and_says_so():
    found = faithfulness("יוסי כהן נעצר ב-3 במאי 2019.", "דוד לוי נעצר ביום 3 במאי 2019.")
    assert (found.names_checked, found.unsupported, found.items["date"]) == (False, (), 1)
    assert faithfulness("他付了6000元。", "他付了5000元。").unsupported[0].kind == "number"


def test_a_sentence_is_supported_by_one_stretch_of_the_source():
    source = "The rabbit sat quietly. A fox came by. Nothing happened. Bread was sold. The market closed early. Rain fell."
    found = faithfulness(
        "The fox came to the rabbit. The bread flew quietly over snow. Whales sing opera.", source
    )
    assert [sentence.supported for sentence in found.sentences] == [True, False, False]
    assert found.supported_share == pytest.approx(1 / 3)
    start, end = found.sentences[0].source
    assert source[start:end].startswith("The rabbit sat quietly. A fox came by.")
    assert found.sentences[2].source is None


def test_an_invented_number_takes_its_sentence_with_it():
    found = faithfulness("He was fined EUR 6,000 and held for three days.", SOURCE)
    assert (found.sentences[0].supported, found.sentences[0].unsupported_items) == (False, 1)
    assert found.sentences[0].overlap >= 0.5
    assert found.precision() == 0.5
    assert found.precision("name") is None


def test_embeddings_are_asked_for_only_where_words_do_not_suffice():
    source = "The physician looked after the child. It rained."
    checked = check("It rained. A doctor cared for the kid.", source)
    assert checked.texts == [
        "A doctor cared for the kid.",
        "The physician looked after the child.",
        "It rained.",
    ]
    close = np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
    far = np.array([[1.0, 0.0], [0.0, 1.0], [np.nan, np.nan]])
    assert [sentence.supported for sentence in checked.report(close).sentences] == [True, True]
    assert [sentence.supported for sentence in checked.report(far).sentences] == [True, False]
    assert checked.report(close).sentences[1].source == (0, 37)
    assert [sentence.similarity for sentence in checked.report().sentences] == [None, None]


def test_an_empty_summary_supports_nothing():
    assert faithfulness("  ", SOURCE).supported_share == 0
    assert faithfulness("Something.", "").supported_share == 0


FORMATS = ("%d %B %Y", "%B %d, %Y", "%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%dth of %B, %Y", "%d %b. %Y")


@given(st.dates(date(1600, 1, 1), date(2099, 12, 31)), st.sampled_from(FORMATS), st.sampled_from(FORMATS))
def test_a_date_is_the_same_in_every_form(day, first, second):
    if "%d/%m" in second or "%d.%m" in second:
        second = "%d %B %Y"
    source = f"It happened on {day.strftime(second)} in the end."
    assert unsupported(f"It was on {day.strftime(first)}.", source) == []
    other = (
        day.replace(year=day.year - 1) if day.month != 2 else day.replace(day=1, month=3, year=day.year - 1)
    )
    assert unsupported(f"It was on {other.strftime(first)}.", source) != []


@given(st.integers(2, 10**12), st.integers(2, 10**12))
def test_a_number_is_the_same_with_any_separator(value, other):
    for form in (f"{value}", f"{value:,}", f"{value:,}".replace(",", "."), f"{value:,}".replace(",", " ")):
        assert unsupported(f"There were {form} of them.", f"We saw {value} things.") == []
    if other != value:
        assert len(unsupported(f"There were {other:,} of them.", f"We saw {value} things.")) == 1


WORDS = st.sampled_from(
    """
    The court Smith v. Jones held on 3 May 2019 that Article 6 § 1 and $5,000 or 12,5 % of two hundred U.S. 347 483 Miller
    ' - ( ) . , ? IV Section of no. 1234/05 de la €5 per cent million #Person1# כהן 法院 5年 İ ß “ ”
    """.split()  # noqa: SIM905
)


@settings(max_examples=300)
@given(st.lists(st.one_of(WORDS, st.just("\n"), st.just("\n\n")), max_size=40).map(" ".join))
@example("Smith v. Jones v. Miller . 3 May")
def test_every_text_is_faithful_to_itself(text):
    found = faithfulness(text, text)
    assert [text[item.start : item.end] for item in found.unsupported] == []


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_checked(summary, source):
    found = faithfulness(summary, source)
    assert 0 <= found.supported_share <= 1
    places = [(item.start, item.end) for item in found.unsupported]
    assert places == sorted(places)
    assert all(0 <= start < end <= len(summary) for start, end in places)
