"""Adapter archives: unpacked whole or not at all, nothing outside the folder."""

import io
import tarfile

import numpy as np
import pytest

from app.blobs import BlobStore
from models.adapters.folder import AdapterInvalidError
from workers import adapter_archive
from workers.adapter_archive import unpacked


@pytest.fixture
def store(tmp_path):
    return BlobStore(str(tmp_path / "blobs"))


def tar_of(*members):
    """A tar of (name, content) files, or TarInfo entries as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                name, content = member
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(kind, target):
    info = tarfile.TarInfo("weights.safetensors")
    info.type, info.linkname = kind, target
    return info


def test_files_are_unpacked_once_and_kept(store, tmp_path):
    digest = store.put_bytes(tar_of(("manifest.json", b"{}"), ("folds/0/seen.json", b"[]"))).digest
    folder = unpacked(digest, store, tmp_path / "cache")
    assert (folder / "folds/0/seen.json").read_bytes() == b"[]"
    store.delete(digest)
    assert unpacked(digest, store, tmp_path / "cache") == folder


@pytest.mark.parametrize(
    "content",
    [
        tar_of(link(tarfile.SYMTYPE, "/etc/passwd")),
        tar_of(link(tarfile.LNKTYPE, "manifest.json")),
        tar_of(link(tarfile.FIFOTYPE, "")),
        tar_of(("../outside.json", b"x")),
        tar_of(("/absolute/../../outside.json", b"x")),
        tar_of(("manifest.json", b"{}"), ("weights.pickle", b"x")),
        tar_of(("report.json", b"{}")),
        b"no archive at all",
        tar_of(("manifest.json", b"x" * 5000))[:2000],
    ],
)
def test_what_is_no_plain_archive_leaves_nothing_behind(store, tmp_path, content):
    digest = store.put_bytes(content).digest
    with pytest.raises(AdapterInvalidError):
        unpacked(digest, store, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "outside.json").exists()


def test_an_archive_that_is_too_large_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(adapter_archive, "LARGEST_ADAPTER", 10)
    digest = store.put_bytes(tar_of(("manifest.json", b"x" * 11))).digest
    with pytest.raises(AdapterInvalidError, match="larger than the 10 bytes"):
        unpacked(digest, store, tmp_path / "cache")


def test_a_missing_blob_is_said_to_be_missing(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        unpacked("0" * 64, store, tmp_path / "cache")


def test_a_tar_that_ends_with_a_zip_is_a_tar(store, tmp_path):
    arrays = io.BytesIO()
    np.savez(arrays, signatures=np.zeros((2, 64), dtype=np.uint32))
    digest = store.put_bytes(tar_of(("manifest.json", b"{}"), ("seen.npz", arrays.getvalue()))).digest
    folder = unpacked(digest, store, tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "seen.npz"]
