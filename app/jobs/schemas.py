"""What the API says about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.db.tables import Job
from app.jobs.kinds import KINDS, job_path

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]


class JobError(BaseModel):
    """Why a job failed. Further members depend on the code: after attempts-exhausted `cause`, and `last_words` of the process."""

    model_config = ConfigDict(extra="allow")
    code: str = Field(description="Stable slug of the reason.", examples=["attempts-exhausted"])
    detail: str = Field(description="What was wrong, where, and what to do.")


class JobDocument(BaseModel):
    """A job as it stands now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "job_01k3zq5w0v8n2m4c6x7y9abc",
                    "kind": "train",
                    "state": "running",
                    "corpus_id": "cor_01k3zq4m1r6t8w0y2a4c6e8g",
                    "params": {"base_model": "minilm"},
                    "progress": {
                        "stage": "fold 2 of 5",
                        "done": 410000,
                        "total": 1300000,
                        "eta_seconds": 212.0,
                    },
                    "result": None,
                    "error": None,
                    "attempts": 1,
                    "cancel_requested": False,
                    "pause_requested": False,
                    "last_event": 9,
                    "created_by": "ana",
                    "created_at": "2026-01-05T09:00:00Z",
                    "started_at": "2026-01-05T09:00:01Z",
                    "finished_at": None,
                    "links": {
                        "self": "/train-jobs/job_01k3zq5w0v8n2m4c6x7y9abc",
                        "events": "/train-jobs/job_01k3zq5w0v8n2m4c6x7y9abc/events",
                        "cancel": "/train-jobs/job_01k3zq5w0v8n2m4c6x7y9abc/cancel",
                        "pause": "/train-jobs/job_01k3zq5w0v8n2m4c6x7y9abc/pause",
                        "resume": "/train-jobs/job_01k3zq5w0v8n2m4c6x7y9abc/resume",
                    },
                }
            ]
        }
    )
    id: str
    kind: str = Field(
        description="import, documents, train, search, trial, sample, evaluate, estimates, annotators, measure, relabel or rank."
    )
    state: JobState
    corpus_id: str | None
    params: dict[str, Any] = Field(description="What was asked for.")
    progress: dict[str, Any] = Field(
        description="How far it is: stage, done, total, eta_seconds where known."
    )
    result: dict[str, Any] | None = Field(description="What came out, once succeeded.")
    error: JobError | None = Field(description="Why it failed.")
    attempts: int = Field(description="How often a worker has started it.")
    cancel_requested: bool
    pause_requested: bool = Field(
        description="Whether it will be paused as soon as its process has made a checkpoint."
    )
    last_event: int = Field(description="Number of the newest event.")
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str] = Field(
        description="Addresses of the job, its events, its cancellation and, where its kind can wait, its pause and resumption."
    )


def job_document(job: Job) -> JobDocument:
    """The API's form of a job row."""
    path = job_path(job.kind, job.id)
    fields = {name: getattr(job, name) for name in JobDocument.model_fields if name != "links"}
    actions = ("events", "cancel", *(("pause", "resume") if KINDS[job.kind].pausable else ()))
    return JobDocument(**fields, links={"self": path} | {action: f"{path}/{action}" for action in actions})


def accepted_headers(job: Job) -> dict[str, str]:
    """Headers of the 202 that answers a POST which made a job."""
    return {"Location": job_path(job.kind, job.id), "Retry-After": "1"}
