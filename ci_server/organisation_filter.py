"""The parameter by which a list is limited to one organisation."""

from typing import Annotated

from litestar.params import QueryParameter

LONGEST_NAME = 200

OrganisationName = Annotated[
    str | None,
    QueryParameter(
        name="organisation",
        max_length=LONGEST_NAME,
        description="Only what belongs to the organisation of this name. Default: all of yours.",
    ),
]
