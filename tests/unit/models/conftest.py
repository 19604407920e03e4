"""A tiny encoder for the tests of the ML core."""

from pathlib import Path

import pytest

from models.encoder.load import Encoder, load_encoder
from tests.tiny_encoder import make_encoder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def encoder(tiny_bert) -> Encoder:
    return load_encoder(tiny_bert, "cpu")
