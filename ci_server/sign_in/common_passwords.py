"""What passwords people choose when they have to choose one."""

import unicodedata

_LIST = """
password passwort passw0rd motdepasse contrasena senha parola secret geheim
admin administrator root superuser user username guest default changeme change
letmein letmeinnow welcome welcometo login signin access master server system
qwerty qwertz azerty iloveyou ilove loveyou sunshine princess football baseball basketball
superman batman starwars pokemon dragon monkey shadow michael jordan jennifer charlie
trustno whatever freedom hello helloworld computer internet samsung google
test testing tester testtest demo example sample temp temporary
standby standbyci continuousintegration jenkins docker
spring summer autumn winter january february march april june july august
september october november december monday tuesday wednesday thursday friday
correcthorsebatterystaple thequickbrownfox
"""
_WORDS = frozenset(_LIST.split())
"""The best known ones, as letters only; digits and marks around them make none better."""

_ROWS = (
    "01234567890123456789", "1234567890" * 2, "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn", "abcdefghijklmnopqrstuvwxyz",
    "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujmikolp",
)  # fmt: skip

_FEW = 4
"""Different characters; of no more than so many nothing is made that is hard to guess."""

_RUN = 6
"""Letters side by side on a keyboard; digits after so many do not help."""

_LEET = str.maketrans("013457@$!", "oleastasi")


def is_common(password: str, name: str) -> bool:
    """Return whether a password is the user's name, or one that is tried first.

    Marks and digits around and between do not count, nor does saying it twice.
    """
    folded = unicodedata.normalize("NFKC", password).casefold()
    if len(set(folded)) <= _FEW or _is_in_a_row(folded) or _is_in_a_row(_letters(folded)):
        return True
    known = {*_WORDS, _letters(name), name.casefold()}
    said = {folded, _letters(folded), _letters(_core(folded).translate(_LEET))}
    return any(_once(each) in known for each in said)


def _is_in_a_row(text: str) -> bool:
    return len(text) >= _RUN and any(text in row or text[::-1] in row for row in _ROWS)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalpha())


def _core(text: str) -> str:
    """Return what is left when digits and marks are taken from both ends."""
    letters = [place for place, character in enumerate(text) if character.isalpha()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


def _once(text: str) -> str:
    """Return ``abc`` of ``abcabc``, and anything else as it is."""
    return text[: (text + text).find(text, 1)]
