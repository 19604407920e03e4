import csv
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from models.data.demo import LONGEST, OPTIONS, SHORTEST, TEAMS, demo, read_truth, truth_path, write_demo
from models.data.demo_phrases import ARGUMENTS, DISTRACTIONS
from models.data.folds import assign_folds
from models.data.near_duplicates import near_duplicate_pairs, signatures


@pytest.fixture(scope="module")
def corpus():
    return list(demo(1500, seed=7))


def test_every_option_is_argued_and_feigned():
    assert list(ARGUMENTS) == list(DISTRACTIONS) == list(OPTIONS)
    assert len(OPTIONS) == 10


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100_000))
def test_letters_have_their_length_and_no_template_shows(seed):
    for letter, _ in demo(5, seed):
        assert SHORTEST <= len(letter.text.split()) <= LONGEST
        assert not set("{}|") & set(letter.text)
        assert letter.letter_id.startswith("synthetic-")


def test_each_team_errs_as_often_as_it_is_said_to(corpus):
    wrong = defaultdict(list)
    for letter, annotations in corpus:
        for annotation in annotations:
            wrong[annotation.team.name].append(np.array(annotation.values) != np.array(letter.truth))
    for team in TEAMS:
        assert np.mean(wrong[team.name]) == pytest.approx(team.wrong_share, abs=0.012)
        assert 0.02 <= team.wrong_share <= 0.12


def test_one_team_takes_addiction_for_illness_and_the_others_do_not(corpus):
    health, addiction = list(OPTIONS).index("health"), list(OPTIONS).index("addiction_treatment")
    swapped = defaultdict(list)
    for letter, annotations in corpus:
        if letter.truth[addiction] and not letter.truth[health]:
            swapped[annotations[0].team.name].append(
                annotations[0].values[health] and not annotations[0].values[addiction]
            )
    assert np.mean(swapped["team-2021"]) > 0.5
    assert np.mean(swapped["team-2019"]) < 0.05
    assert np.mean(swapped["team-2020"]) < 0.1


def test_some_letters_are_double_coded_by_two_students_of_one_team(corpus):
    pairs = [annotations for _, annotations in corpus if len(annotations) == 2]
    assert 0.1 < len(pairs) / len(corpus) < 0.2
    assert all(a.team == b.team and a.annotator != b.annotator for a, b in pairs)
    assert {a.annotated_at.year for _, annotations in corpus for a in annotations} == {2019, 2020, 2021}


def test_letters_are_not_copies_of_each_other(corpus):
    assert len(near_duplicate_pairs(signatures([letter.text for letter, _ in corpus]))) <= 3


def test_tfidf_learns_the_letters_without_solving_them(corpus):
    texts = [letter.text for letter, _ in corpus]
    given_labels = np.array([annotations[0].values for _, annotations in corpus])
    truth = np.array([letter.truth for letter, _ in corpus])
    folds = assign_folds([letter.defendant for letter, _ in corpus], 2, seed=0)
    train, test = folds == 0, folds == 1
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit_transform(texts)
    f1 = []
    for column in range(len(OPTIONS)):
        model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
        model.fit(features[train], given_labels[train, column])
        f1.append(f1_score(truth[test, column], model.predict(features[test])))
    assert 0.55 < np.mean(f1) < 0.9


def test_the_files_are_marked_synthetic_and_repeatable(tmp_path):
    path = tmp_path / "letters.csv"
    written = write_demo(path, 60, seed=3)
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    truth_rows = list(csv.DictReader(truth_path(path).open(encoding="utf-8")))
    assert written.annotations == len(rows) >= 60
    assert [row["letter_id"] for row in truth_rows] == list(dict.fromkeys(row["letter_id"] for row in rows))
    for row in rows + truth_rows:
        assert row["synthetic"] == "true"
        assert row["letter_id"].startswith("synthetic-")
    assert all(row["defendant"].startswith("synthetic-") and "Synthetic" in row["court"] for row in rows)
    again = write_demo(tmp_path / "again.csv", 60, seed=3)
    assert again.labels.read_bytes() == path.read_bytes()
    assert write_demo(tmp_path / "other.csv", 60, seed=4).labels.read_bytes() != path.read_bytes()


def test_the_truth_file_tells_which_labels_are_wrong(tmp_path):
    path = tmp_path / "letters.csv"
    written = write_demo(path, 80, seed=1)
    truth = read_truth(written.truth)
    rows = csv.DictReader(path.open(encoding="utf-8"))
    wrong = sum((row[key] == "1") != truth[row["letter_id"], key] for row in rows for key in OPTIONS)
    assert wrong == written.wrong_cells > 0


def test_no_letters_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1 letter"):
        write_demo(tmp_path / "none.csv", 0)
    assert not (tmp_path / "none.csv").exists()
