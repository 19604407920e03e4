"""The second reading of a member that reads contexts: how it answers for a text that it is given alone.

What the wide branch says without contexts is less, and a head fitted beside the richer branch leans on it too much; so texts
without context have a wide branch, a head, a calibration and thresholds that were never fitted on any context.
"""

from __future__ import annotations

from dataclasses import replace

from models.adapters.member import LoneWeights, cpu_state
from models.adapters.wide import Wide
from models.training.material import Material
from models.training.member_task import crossed_wide
from models.training.task import FitTask, warm_head
from models.training.wide import WideSettings


def lone_weights(material: Material, task: FitTask, tfidf: Wide, settings: WideSettings) -> LoneWeights:
    """The reading of texts alone that goes with a member: a convex fit, which stands as it is however the member is trained.

    Args:
        material: of the job.
        task: what the member is fitted on; its penalty is kept.
        tfidf: a wide branch without contexts, fitted on all of the task's rows.
        settings: how it was fitted.
    """
    crossed = crossed_wide(material, task.fit_rows, settings)
    return LoneWeights(cpu_state(warm_head(replace(task, wide=crossed), material.settings)), tfidf)
