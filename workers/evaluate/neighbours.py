"""What stands around the texts that are evaluated: the neighbours of their group, which an adapter may read as their context."""

from __future__ import annotations

from models.data.context import Context, contexts
from workers.evaluate.scope import Scope
from workers.relabel.contents import batches


def contexts_of(scope: Scope) -> dict[int, Context]:
    """The context of every row, by its text version; neighbours are the texts of its group, in the corpus's order, evaluated or not."""
    wanted = set(scope.groups)
    around = [place for place, group in enumerate(scope.corpus_groups) if group in wanted]
    versions = scope.corpus_versions[around]
    contents = [content for part in batches(versions) for content in part]
    found = contexts(contents, [scope.corpus_groups[place] for place in around])
    return dict(zip(versions.tolist(), found, strict=True))
