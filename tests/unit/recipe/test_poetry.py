import pytest

from ci_common.recipe.poetry import poetry_requires, version_specifier


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("*", ""),
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.4", "~=1.4"),
        ("1.2.3", "==1.2.3"),
        ("=1.2", "==1.2"),
        ("1.*", "==1.*"),
        (">=1.0, <2.0", ">=1.0,<2.0"),
        (">= 1.0 <2", ">=1.0,<2"),
        ("^1.0 || ^2.0", ">=2.0,<3"),
        ("!=1.5", "!=1.5"),
        ("", ""),
    ],
)
def test_constraints(constraint, specifier):
    assert version_specifier(constraint) == specifier


@pytest.mark.parametrize(
    ("value", "requirement"),
    [
        ({"version": "^2", "extras": ["http"]}, "lib[http]>=2,<3"),
        ({"git": "https://h/lib.git", "rev": "abc"}, "lib @ git+https://h/lib.git@abc"),
        ({"git": "git@h.org:me/lib.git"}, "lib @ git+ssh://git@h.org/me/lib.git"),
        ({"url": "https://h/lib.whl"}, "lib @ https://h/lib.whl"),
        ({"version": "*", "markers": "os_name == 'nt'"}, "lib; os_name == 'nt'"),
        (
            {"version": "1", "python": "^3.8"},
            "lib==1; python_version >= '3.8' and python_version < '4'",
        ),
        ({"version": "1", "python": ">=3.8.1"}, "lib==1; python_full_version >= '3.8.1'"),
    ],
)
def test_tables(value, requirement):
    assert poetry_requires({"dependencies": {"lib": value}}).requirements == (requirement,)
