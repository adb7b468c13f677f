"""What a project needs to run, found out by reading its files and never by running them."""

from ci_common.recipe.model import DEFAULT_COMMAND, Recipe

__all__ = ["DEFAULT_COMMAND", "Recipe"]
