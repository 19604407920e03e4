"""`explain` in POST /classify, through the api to a worker with a real adapter on a tiny encoder."""

from __future__ import annotations

import pytest

from app.db.session import writing
from app.db.tables import Adapter
from app.settings import get_settings
from models.encoder.load import load_encoder
from tests.integration.classify.test_classify import CORPUS, problem
from tests.integration.relabel.world import SCHEME, WordReader
from tests.quick_adapter import quick_adapter
from tests.tiny_encoder import make_encoder, synthetic_letters
from workers.inference.adapter_reader import adapter_reader

LETTER = "My boss was in court. She was very sorry. The judge was in time."


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    encoder = load_encoder(make_encoder(tmp_path_factory.mktemp("models") / "tiny"), "cpu")
    texts, labels = synthetic_letters(100, seed=3)
    return quick_adapter(encoder, texts, labels[:, :2], SCHEME)


@pytest.fixture
def reader(adapter):
    return adapter_reader(adapter, "b" * 64)


def ask(client, text=LETTER, explain=True, **rest):
    return client.post("/classify", json={"corpus": CORPUS, "text": text, "explain": explain, **rest})


def test_nothing_is_explained_unless_asked_for(client):
    assert ask(client, explain=False).json()["results"][0]["explanation"] is None


def test_words_and_sentences_for_and_against_each_option(client):
    answer = ask(client)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    explanation = result["explanation"]
    assert (explanation["method"], explanation["precision"], explanation["windows"], explanation["error"]) == (
        "integrated-gradients", "float32", 1, None,
    )  # fmt: skip
    assert [option["key"] for option in explanation["options"]] == ["remorse", "family"]
    for option in explanation["options"]:
        listed = sum(word["weight"] for word in option["words"]) + option["other_words"]["weight"]
        assert option["base_logit"] + listed == pytest.approx(option["logit"], abs=option["bound"])
        assert all(LETTER[word["start"] : word["end"]] == word["text"] for word in option["words"])
        assert [LETTER[s["start"] : s["end"]] for s in option["sentences"]] == [
            "My boss was in court.", "She was very sorry.", "The judge was in time.",
        ]  # fmt: skip
    remorse = explanation["options"][0]
    assert remorse["words"][0]["text"] == "sorry"
    without = ask(client, LETTER.replace("She was very sorry.", ""), explain=False).json()
    whole = result["options"][0]["probability"]
    left = without["results"][0]["options"][0]["probability"]
    assert remorse["sentences"][1]["delta_probability"] == pytest.approx(whole - left, abs=0.02)


def test_chosen_options_and_words(client):
    explanation = ask(client, explain={"options": ["family"], "top": 2}).json()["results"][0]["explanation"]
    (option,) = explanation["options"]
    assert (option["key"], len(option["words"]), option["other_words"]["count"]) == ("family", 2, 15)


def test_without_a_choice_the_most_probable_options_are_explained(client, monkeypatch):
    monkeypatch.setenv("REMAND_EXPLAIN_OPTIONS", "1")
    get_settings.cache_clear()
    (result,) = ask(client).json()["results"]
    best = max(result["options"], key=lambda option: option["probability"])
    assert [option["key"] for option in result["explanation"]["options"]] == [best["key"]]
    refused = ask(client, explain={"options": ["remorse", "family"]})
    assert problem(refused) == (422, "too-many-options-to-explain", "/explain/options")


def test_one_word_and_texts_beside_each_other(client):
    body = {"corpus": CORPUS, "texts": ["sorry", "👩‍⚖️ בית המשפט 法院", LETTER * 20], "explain": {"top": 100}}
    results = client.post("/classify", json=body).json()["results"]
    words = [[word["text"] for word in result["explanation"]["options"][0]["words"]] for result in results]
    assert words[0] == ["sorry"]
    assert sorted(words[1]) == sorted(["👩‍⚖️", "בית", "המשפט", "法", "院"])
    assert results[2]["windows"] == results[2]["explanation"]["windows"] > 1


AT_FAULT = [
    ({"text": " ", "explain": True}, (422, "empty-text", "/text")),
    ({"texts": ["a"] * 9, "explain": True}, (422, "too-many-to-explain", "/texts")),
    ({"text": "a" * 50_001, "explain": True}, (422, "too-long-to-explain", "/text")),
    ({"texts": ["a", "b" * 50_001], "explain": True}, (422, "too-long-to-explain", "/texts/1")),
    ({"text": "a" * 2_000_000, "explain": True}, (413, "text-too-long", "/text")),
    ({"text": "a", "explain": {"options": ["remorse", "mercy"]}}, (422, "unknown-option", "/explain/options/1")),
    ({"text": "a", "explain": {"options": []}}, (422, "no-options", "/explain/options")),
    ({"text": "a", "explain": {"top": 0}}, (422, "invalid", "/explain/top")),
    ({"text": "a", "explain": None}, (422, "invalid", "/explain")),
    ({"text": "a", "explain": "yes"}, (422, "invalid", "/explain")),
    ({"text": "a", "explain": {"why": 1}}, (422, "invalid", "/explain/why")),
]  # fmt: skip


def test_what_is_at_fault_is_named(client):
    answers = [problem(client.post("/classify", json={"corpus": CORPUS, **body})) for body, _ in AT_FAULT]
    assert answers == [expected for _, expected in AT_FAULT]


def test_the_limit_is_said(client):
    document = ask(client, text="a" * 50_001).json()
    assert document["limit_characters"] == 50_000


def test_an_adapter_for_another_task(client, world):
    with writing() as session:
        session.get_one(Adapter, world.adapter_id).task = "summarize"
    assert problem(ask(client))[1] == "wrong-task"


def test_a_deadline_that_passes_leaves_the_reading(client, server):
    from workers.inference.explain import Explanations

    object.__setattr__(server.service, "explanations", Explanations(seconds=1e-6))
    (result,) = ask(client).json()["results"]
    assert len(result["options"]) == 2
    assert result["explanation"]["options"] == []
    assert result["explanation"]["error"].startswith("There is no explanation: it took longer than")


class TestAModelWithoutLayers:
    """A worker's reader that is no adapter with layers."""

    @pytest.fixture
    def reader(self):
        return WordReader()

    def test_is_refused_and_still_reads(self, client):
        assert problem(ask(client))[0] == 422
        assert ask(client, explain=False).status_code == 200
