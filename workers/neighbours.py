"""What stands around frozen texts: the neighbours of their group, which an adapter may read as their context."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.context import Context, contexts
from workers.relabel.contents import batches


def contexts_of(
    version_ids: NDArray[np.int64], groups: Sequence[str], wanted: Collection[str]
) -> dict[int, Context]:
    """The context of every text of some groups, by its text version.

    Args:
        version_ids: int64 (texts): of the whole corpus, in its order: neighbours are labelled, asked for, or neither.
        groups: the group of each.
        wanted: the groups.
    """
    around = [place for place, group in enumerate(groups) if group in wanted]
    versions = version_ids[around]
    contents = [content for part in batches(versions) for content in part]
    found = contexts(contents, [groups[place] for place in around])
    return dict(zip(versions.tolist(), found, strict=True))
