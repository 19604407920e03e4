"""The tables, by step of the loop. (The ORM lives here because in this project models are ML models.)"""

from app.db.tables import append_only
from app.db.tables.access import ApiKey, AuditLog, BrowserSession, SignInLink
from app.db.tables.base import Base
from app.db.tables.corpora import (
    Annotation,
    Annotator,
    Blob,
    Corpus,
    LabelSnapshot,
    Option,
    Question,
    Sample,
    SchemeVersion,
    Text,
    TextVersion,
)
from app.db.tables.documents import DocumentFile, DocumentSet
from app.db.tables.estimates import Estimates
from app.db.tables.evaluations import Evaluation, GateDecision
from app.db.tables.jobs import IdempotencyKey, Job, JobEvent, Lease
from app.db.tables.measurements import Measurement
from app.db.tables.relabelling import Disagreement, Finding, Prediction, Ranking, RelabelRun, Suspicion
from app.db.tables.review import AuditLook, AuditReading, AuditSample, AuditSampleText, Claim, Review
from app.db.tables.search import JobPart
from app.db.tables.summaries import Summary, SummaryRun
from app.db.tables.training import Adapter

__all__ = [
    "Adapter",
    "Annotation",
    "Annotator",
    "ApiKey",
    "AuditLog",
    "AuditLook",
    "AuditReading",
    "AuditSample",
    "AuditSampleText",
    "Base",
    "Blob",
    "BrowserSession",
    "Claim",
    "Corpus",
    "Disagreement",
    "DocumentFile",
    "DocumentSet",
    "Estimates",
    "Evaluation",
    "Finding",
    "GateDecision",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "JobPart",
    "LabelSnapshot",
    "Lease",
    "Measurement",
    "Option",
    "Prediction",
    "Question",
    "Ranking",
    "RelabelRun",
    "Review",
    "Sample",
    "SchemeVersion",
    "SignInLink",
    "Summary",
    "SummaryRun",
    "Suspicion",
    "Text",
    "TextVersion",
    "append_only",
]
