"""Every setting in one place; docs/settings.md is generated from this file and a test compares the two."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic.functional_validators import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Read from REMAND_… environment variables and, if present, a file `.env` in the working directory."""

    model_config = SettingsConfigDict(env_prefix="REMAND_", env_file=".env", extra="ignore", frozen=True)

    # where things are
    home: Path | None = Field(
        None,
        description="Data folder of the one-machine stack; default /var/lib/remand for root, else ~/.local/share/remand.",
    )
    database_url: str | None = Field(
        None,
        description="Postgres, as postgresql://user:password@host/name; unset: `remand up` runs an embedded one.",
    )
    redis_url: str | None = Field(
        None, description="Redis, as redis://…; unset: `remand up` runs an embedded one."
    )
    blob_root: str = Field(
        "blobs", description="Blob store: a folder, or an fsspec URL such as s3://bucket/prefix."
    )
    work_root: Path = Field(
        Path("work"),
        description="Folder for checkpoints and caches of running jobs; must be shared if several jobs workers may resume each other's jobs.",
    )
    inference_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://127.0.0.1:8101",),
        description="Inference workers, separated by commas (or one load balancer).",
    )

    # the api
    host: str = Field("127.0.0.1", description="Address the api listens on.")
    port: int = Field(8100, description="Port the api listens on.")
    inference_host: str = Field("127.0.0.1", description="Address an inference worker listens on.")
    inference_port: int = Field(8101, description="Port an inference worker listens on.")
    inference_token: SecretStr = Field(
        SecretStr(""),
        description="Shared secret between api, jobs workers and inference workers; empty: none is asked for.",
    )
    public_url: str | None = Field(
        None, description="Address that people use, for links; default: http://host:port."
    )
    secret_key: SecretStr = Field(
        SecretStr("development-only"),
        description="Key of the HMACs over API keys, sessions, cursors; `remand up` makes one at first start.",
    )
    cookie_secure: bool = Field(False, description="Send the session cookie over HTTPS only.")
    session_hours: float = Field(12.0, description="Hours until a browser session ends.")

    # limits
    max_body_bytes: int = Field(8 * 2**20, description="Largest request body, uploads excepted.")
    max_upload_bytes: int = Field(2 * 2**30, description="Largest upload.")
    max_text_characters: int = Field(
        200_000, description="Longest text; longer ones are rejected with their row."
    )
    max_document_bytes: int = Field(64 * 2**20, description="Largest document of a document set.")
    max_document_characters: int = Field(20_000_000, description="Longest document of a document set.")
    max_document_files: int = Field(2000, description="Most files in one zip of documents.")
    max_texts_per_request: int = Field(256, description="Most texts in one /classify request.")
    max_prompts_per_request: int = Field(
        64, description="Most prompts in one /generate request, and texts in one /perplexity request."
    )
    explain_texts: int = Field(8, description="Most texts in one request with `explain`.")
    explain_options: int = Field(
        16, description="Most options that one request explains; without a choice the most probable ones."
    )
    explain_characters: int = Field(50_000, description="Longest text that is explained.")
    explain_seconds: float = Field(
        60.0,
        gt=0,
        le=100,
        description="Seconds that explaining the texts of one request may take; texts that are not done then say so.",
    )
    max_options: int = Field(200, description="Most options in one scheme.")
    import_rejects_shown: int = Field(
        20, description="Rejected rows shown in an import report; the file for download has all."
    )

    # jobs
    lease_seconds: float = Field(30.0, description="How long a claimed job is safe without a renewal.")
    renew_seconds: float = Field(5.0, description="How often a lease is renewed.")
    poll_seconds: float = Field(
        2.0, description="Longest wait of the dispatcher between two looks at the jobs."
    )
    max_attempts: int = Field(3, description="Attempts without a new checkpoint after which a job fails.")
    stuck_seconds: float = Field(
        900.0,
        description="Seconds without a sign of life from a trainer after which its attempt is ended as stuck, at least.",
    )
    stuck_factor: float = Field(
        20.0, description="The same as a multiple of the longest step that the attempt has taken so far."
    )
    measure_wait_seconds: float = Field(
        20.0,
        description="How long a dry run of a train job waits for the short measurement that its estimate rests on.",
    )
    claim_minutes: float = Field(
        10.0, description="How long a reviewer's claim on a cell holds without a sign of life."
    )
    adapter_cache_days: float = Field(
        14.0, description="Days after its last use that an unpacked adapter is kept in the work folder."
    )
    adapter_cache_mib: int = Field(
        20_480,
        description="Most that unpacked adapters may take in the work folder; those unused for longest go first.",
    )
    token_cache_mib: int = Field(
        1024,
        description="Most that an inference worker keeps of corpora's token ids, in the work folder; unused ones go like adapters, and those of deleted corpora.",
    )
    trainer_nice: int = Field(10, description="Niceness of trainers on a CPU.")

    # models
    model_dirs: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Folders from which base models may be loaded, separated by commas."
    )
    allow_hub: bool = Field(False, description="Whether pinned models may be downloaded from the hub.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where models run.")
    threads: int = Field(0, description="CPU threads of one model process; 0: all cores.")
    inference_forward: Literal["auto", "padded", "flat"] = Field(
        "auto",
        description="How an inference worker reads windows: padded to the longest of a batch, or flat, in one stream without padding; auto: the faster one, measured for a second when a base model is loaded.",
    )
    inference_precision: Literal["auto", "fp32", "int8"] = Field(
        "auto",
        description="auto: an inference worker computes in what its hardware is fast in, bf16 or fp32; fp32: always so; int8: in 8 bits on a CPU, about a quarter faster and less exact (docs/benchmarks.md), where it reads; what it writes is as with auto. Relabelling reads texts again in fp32 whose decisions could hang on it.",
    )
    batch_tokens: int = Field(
        0,
        description="Tokens of one batch of the inference worker; 0: the fewest that are as fast as any, measured likewise.",
    )
    queue_tokens: int = Field(
        200_000, description="Tokens an inference worker queues before it refuses with 503."
    )
    adapter_memory_mib: int = Field(
        2048, description="Memory an inference worker may fill with loaded adapters."
    )
    generation_slots: int = Field(
        0,
        ge=0,
        description="Texts an inference worker writes at once with one model; 0: chosen for the hardware.",
    )
    generation_memory_mib: int = Field(
        0,
        ge=0,
        description="Memory an inference worker may fill with models that write; one always fits. 0: 8 GiB, on a GPU half of its memory.",
    )
    generation_cache_mib: int = Field(
        0,
        ge=0,
        description="Memory for the keys and values of texts being written; 0: 1 GiB, on a GPU a quarter of its memory.",
    )
    generation_tokens: int = Field(
        400_000,
        gt=0,
        description="Tokens to read and to write that an inference worker queues for generation before it refuses with 503.",
    )
    generation_seconds: float = Field(
        100.0,
        gt=0,
        le=110,
        description="Seconds that one interactive request for generated text or perplexity may take; what is not written or read then says so.",
    )

    # evidence
    gate_margin: float = Field(
        0.05,
        description="F1 that an option may be worse than the promoted adapter's or TF-IDF's; more than that and beyond chance stops a promotion.",
    )
    gate_options: bool = Field(
        True,
        description="Whether the promotion gate looks at single options, beside the baselines and the means.",
    )
    gate_automatic: bool = Field(
        True, description="Whether a train job promotes an adapter that passes the gate; otherwise people do."
    )

    # logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    log_format: Literal["json", "console"] = Field("json", description="Form of log lines.")

    @field_validator("inference_urls", "model_dirs", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
