"""What a project needs to run, found out by reading its files and never by running them."""

from ci_common.recipe.config import CONFIGURATION_KEYS, check_env_name, check_pattern
from ci_common.recipe.detect import detect
from ci_common.recipe.listing import MAX_WANTED_BYTES, MAX_WANTED_FILES, wanted_files
from ci_common.recipe.model import DEFAULT_COMMAND, Recipe

__all__ = [
    "CONFIGURATION_KEYS",
    "DEFAULT_COMMAND",
    "MAX_WANTED_BYTES",
    "MAX_WANTED_FILES",
    "Recipe",
    "check_env_name",
    "check_pattern",
    "detect",
    "wanted_files",
]
