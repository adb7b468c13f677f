"""Projects as a mapping of file name to text, and the recipes they get."""

from ci_common.recipe import Recipe, detect, wanted_files


def recipe_of(files: dict[str, str], command: tuple[str, ...] | None = None) -> Recipe:
    """Detect as the server does: names of everything, contents of what is wanted."""
    wanted = wanted_files(files)
    return detect(list(files), {name: files[name].encode() for name in wanted}, command)


def installed_by(recipe: Recipe) -> str:
    """All installation commands, as one text to look into."""
    return "\n".join((*recipe.dependencies, *recipe.project))
