from models.text.words import count_words, terms


def test_words_stand_between_white_space_and_chinese_characters_alone():
    assert count_words("The court (Third Section) finds:  no violation.") == 7
    assert count_words("法院认为 ECHR 第6条") == 8
    assert count_words(" \n ") == 0


def test_terms_are_stems_without_stop_words():
    assert terms("The applicants were detained; the applicant's detention, in 1999.") == [
        "applic", "detain", "applic", "detent",
    ]  # fmt: skip


def test_terms_of_other_languages_are_their_words():
    assert terms("בית המשפט") == ["בית", "המשפט"]
    assert terms("المحكمة العليا") == ["المحكمة", "العليا"]
    assert terms("法院认为") == ["法院", "院认", "认为"]
