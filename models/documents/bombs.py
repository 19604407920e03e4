"""Archives that unpack to far more than they weigh, seen before anything is unpacked."""

from __future__ import annotations

import zipfile

from models.documents.values import DocumentRefusedError

RATIO = 300
"""Unpacked bytes per packed byte from which an archive is a bomb; XML of real documents stays below 100."""
HARMLESS = 16 * 2**20
"""Unpacked bytes up to which the ratio does not matter."""


def refuse_bomb(archive: zipfile.ZipFile, name: str, most: int) -> None:
    """Raise DocumentRefusedError for an archive that is encrypted, or whose directory announces more than `most` bytes.

    zipfile never reads more of a member than the directory announces, so a directory that lies makes a corrupt file.
    """
    members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise DocumentRefusedError(
            "document-password-protected", name, "the archive is encrypted. Send it without a password."
        )
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > most or (unpacked > HARMLESS and unpacked > RATIO * max(packed, 1)):
        raise DocumentRefusedError(
            "document-bomb",
            name,
            f"{packed:,} bytes unpack to {unpacked:,}, which no document needs (at most {most:,}).",
        )
