"""The Celery application: Redis carries job ids to jobs workers, nothing else.

Started as `celery -A workers.celery_app worker`; the settings below make that enough. Messages ack early and no result is kept: Postgres
has the jobs, the dispatcher is the only retry.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_shutting_down
from kombu import Queue  # type: ignore[attr-defined]

from app.jobs.kinds import KINDS, QUEUES
from app.settings import get_settings
from workers.logs import configure_logging
from workers.supervise import SHUTDOWN, run_job

TASK = "remand.run_job"
RING_EXPIRES_SECONDS = 60
"""A ring that nobody heard for so long is dropped: the dispatcher rings again."""
THREADS = 4
"""Children that one jobs worker supervises at a time."""


def make_celery(broker_url: str | None) -> Celery:
    """The application for a broker; every socket has a deadline, because a silent Redis must not stop the dispatcher."""
    application = Celery("remand", broker=broker_url, set_as_current=False)
    application.conf.update(
        task_queues=[Queue(name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_default_queue=QUEUES[0],
        task_acks_late=False,
        task_ignore_result=True,
        task_publish_retry=False,
        result_backend=None,
        worker_pool="threads",
        worker_concurrency=THREADS,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_timeout=3,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "brpop_timeout": 1,
        },
    )
    return application


celery_app = make_celery(get_settings().redis_url)
"""The application of this process."""


@celery_app.task(name=TASK)  # type: ignore[untyped-decorator]
def _run_job(job_id: str) -> None:
    """One ring: try to claim the job and see its child through."""
    run_job(job_id)


@worker_init.connect  # type: ignore[untyped-decorator]
def _on_start(**_signal: Any) -> None:
    """The jobs worker's log lines look like those of the other processes."""
    configure_logging("jobs")


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _on_shutdown(**_signal: Any) -> None:
    """SIGTERM: children make a checkpoint and end, their jobs go back into the queue."""
    SHUTDOWN.set()


def ring(kind: str, job_id: str) -> None:
    """Tell the jobs workers of a job; kombu's OperationalError when Redis cannot be reached within seconds."""
    celery_app.send_task(
        TASK, args=[job_id], queue=KINDS[kind].queue, expires=RING_EXPIRES_SECONDS, retry=False
    )
