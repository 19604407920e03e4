"""Train jobs over HTTP."""

from __future__ import annotations

from app.jobs.routes import job_router

router = job_router("train", "/train-jobs")
