"""A project as it is sent: a zip, read by its own strict reader and never unpacked here.

::

    end_record ─▶ directory ─▶ names, tree ─▶ content
    (where)       (entries)    (what they     (bytes, inflated
                               would make)    and proved)

``check_zip`` is the gate every upload passes. ``Archive`` is the one way to
read a zip, for the check and for the feed alike: what was checked and what is
fed cannot be two different readings of the same bytes.
"""

from ci_common.project_zip.archive import Archive, ProjectFiles
from ci_common.project_zip.check import (
    ZipSummary,
    check_size,
    check_zip,
    collect_files,
    read_files,
)
from ci_common.project_zip.directory import Entry, EntryKind
from ci_common.project_zip.limits import UNLIMITED, ZipLimits

__all__ = [
    "UNLIMITED",
    "Archive",
    "Entry",
    "EntryKind",
    "ProjectFiles",
    "ZipLimits",
    "ZipSummary",
    "check_size",
    "check_zip",
    "collect_files",
    "read_files",
]
