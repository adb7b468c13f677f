"""How a tuple of equal members is described."""

from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition


class TupleSchema(OpenAPISchemaPlugin):
    """Describes ``tuple[A, A]`` as an array of two, in words that every tool understands.

    ``prefixItems``, which Litestar would use, is new to OpenAPI with 3.1.
    """

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Return whether it is a tuple of so many members of one type."""
        members = {member.annotation for member in field_definition.inner_types}
        return field_definition.origin is tuple and len(members) == 1 and ... not in members

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """Return the description."""
        members = field_definition.inner_types
        return Schema(
            type=OpenAPIType.ARRAY,
            items=schema_creator.for_field_definition(members[0]),
            min_items=len(members),
            max_items=len(members),
        )
