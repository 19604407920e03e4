import json
import shutil
from pathlib import Path

import pytest

from models import catalog
from models.catalog import CATALOG, CatalogSettings, ModelUnavailableError, family_of, known_names, locate


def test_minilm_comes_from_its_package_with_pinned_weights():
    folder = locate("minilm")
    assert family_of(folder) == "bert"
    assert catalog.weights_digest(folder) == CATALOG["minilm"].sha256


def test_weights_that_differ_from_the_pinned_digest_are_refused(monkeypatch):
    monkeypatch.setattr(catalog, "weights_digest", lambda _: "0" * 64)
    with pytest.raises(ModelUnavailableError, match="0000"):
        locate("minilm")


@pytest.mark.parametrize("name", ["roberta-base", "no-such-model", "/etc"])
def test_a_model_that_cannot_be_had_names_three_ways(name):
    with pytest.raises(ModelUnavailableError) as refused:
        locate(name)
    assert refused.value.name == name
    for way in ("(1) put its folder", "(2) install the package", "(3) let the operator"):
        assert way in str(refused.value)


def test_the_hub_needs_a_pinned_revision():
    for revision in ({}, {"roberta-base": "main"}):
        with pytest.raises(ModelUnavailableError, match="40-digit revision"):
            locate("roberta-base", CatalogSettings(allow_hub=True, revisions=revision))


def test_a_local_folder_is_taken_where_the_operator_allows_it(tiny_bert, tmp_path):
    settings = CatalogSettings(allowed_dirs=(str(tiny_bert.parent),))
    assert locate(str(tiny_bert), settings) == tiny_bert.resolve()
    elsewhere = CatalogSettings(allowed_dirs=(str(tmp_path),))
    with pytest.raises(ModelUnavailableError, match="below a folder that the operator allows"):
        locate(str(tiny_bert), elsewhere)
    with pytest.raises(ModelUnavailableError, match="below a folder"):
        locate(str(tmp_path / ".." / tiny_bert.name), elsewhere)
    for name in ("~nobody-of-this-name/model", "a\0b"):
        with pytest.raises(ModelUnavailableError, match="nor the path of a folder"):
            locate(name, elsewhere)


def test_a_link_out_of_the_allowed_folder_is_refused(tiny_bert, tmp_path):
    (tmp_path / "model").symlink_to(tiny_bert)
    with pytest.raises(ModelUnavailableError, match="below a folder"):
        locate(str(tmp_path / "model"), CatalogSettings(allowed_dirs=(str(tmp_path),)))


def test_an_allowed_folder_may_hold_catalog_models_by_name(tiny_bert, tmp_path):
    shutil.copytree(tiny_bert, tmp_path / "legal-bert")
    assert locate("legal-bert", CatalogSettings(allowed_dirs=(str(tmp_path),))) == tmp_path / "legal-bert"


def test_pickled_weights_are_not_read(tiny_bert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailableError, match="no safetensors"):
        locate(str(folder), CatalogSettings(allowed_dirs=(str(tmp_path),)))


def _cut(folder):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1000])


def _a_page(folder):
    (folder / "model.safetensors").write_text("<html>404 Not Found</html>")


def _a_pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")


def _no_config(folder):
    (folder / "config.json").write_text('{"model_type": "be')


def _half_a_download(folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_cut, "and announces .*copy it again"),
        (_a_page, "no safetensors file"),
        (_a_pointer, "no safetensors file"),
        (_no_config, "config.json is no JSON object"),
        (_half_a_download, "model-00002-of-00002.safetensors is missing"),
    ],
)
def test_a_damaged_folder_is_said_to_be_damaged(tiny_bert, tmp_path, damage, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    assert locate(str(folder), CatalogSettings(allowed_dirs=(str(tmp_path),))) == folder.resolve()
    damage(folder)
    with pytest.raises(ModelUnavailableError, match=words):
        locate(str(folder), CatalogSettings(allowed_dirs=(str(tmp_path),)))


def test_entries_say_what_a_person_needs():
    assert set(known_names()) >= {"minilm", "multilingual-minilm", "distilbert", "roberta-base", "legal-bert"}
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.licence
        assert entry.hub_id.count("/") == 1


def test_the_catalog_needs_no_torch():
    source = Path(catalog.__file__).read_text()
    assert "import torch" not in source
    assert "import transformers" not in source
