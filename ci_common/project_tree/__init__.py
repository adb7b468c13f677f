"""A project that is sent as a manifest, with only those contents that the server lacks.

::

    manifest ─▶ packs ─▶ tree_file
    (what)      (the      (what and where,
                 rest)     until the job ends)

A tree is read as a zip is, through ``ProjectFiles``; ``open_project`` opens
whichever a job has.
"""

from ci_common.project_tree.manifest import Manifest, too_large, unpacked
from ci_common.project_tree.packs import check_pack
from ci_common.project_tree.tree_file import (
    TREE_SUFFIX,
    TreeArchive,
    encode_tree,
    open_project,
    pack_name,
)

__all__ = [
    "TREE_SUFFIX",
    "Manifest",
    "TreeArchive",
    "check_pack",
    "encode_tree",
    "open_project",
    "pack_name",
    "too_large",
    "unpacked",
]
