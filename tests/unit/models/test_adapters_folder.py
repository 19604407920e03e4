import json

import pytest

from models.adapters.folder import AdapterInvalidError, finish, publish, read_manifest, verify


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "adapter"
    (root / "folds" / "0").mkdir(parents=True)
    (root / "head.safetensors").write_bytes(b"weights")
    (root / "folds" / "0" / "head.safetensors").write_bytes(b"others")
    finish(root, {"task": "classify", "members": ["final", "fold0"]})
    return root


def test_a_whole_adapter_verifies(folder):
    manifest = verify(folder)
    assert sorted(manifest["files"]) == ["folds/0/head.safetensors", "head.safetensors"]
    assert len(manifest["digest"]) == 64


def test_equal_contents_have_equal_digests(folder, tmp_path):
    publish(folder, tmp_path / "copy")
    assert verify(tmp_path / "copy")["digest"] == read_manifest(folder)["digest"]


def test_a_changed_file_is_named(folder):
    (folder / "folds" / "0" / "head.safetensors").write_bytes(b"evil")
    with pytest.raises(AdapterInvalidError, match=r"folds/0/head\.safetensors was changed"):
        verify(folder)


def test_a_missing_and_an_added_file_are_named(folder):
    (folder / "head.safetensors").rename(folder / "extra.safetensors")
    with pytest.raises(AdapterInvalidError, match=r"extra\.safetensors is not in the manifest"):
        verify(folder)
    (folder / "extra.safetensors").unlink()
    with pytest.raises(AdapterInvalidError, match=r"head\.safetensors is missing"):
        verify(folder)


def test_a_changed_manifest_is_noticed(folder):
    manifest = read_manifest(folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "task": "causal"}))
    with pytest.raises(AdapterInvalidError, match="its digest differs"):
        verify(folder)


def test_links_are_refused(folder, tmp_path):
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(AdapterInvalidError, match="link is a link"):
        verify(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}'])
def test_what_is_no_manifest_is_refused(tmp_path, content):
    with pytest.raises(AdapterInvalidError, match="no adapter folder"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(AdapterInvalidError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_publishing_never_overwrites(folder, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    publish(folder, target)
    with pytest.raises(FileExistsError, match="not empty"):
        publish(folder, target)
    assert not (tmp_path / ".out.partial").exists()
