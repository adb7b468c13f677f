import pytest
from roman import from_roman, to_roman

KNOWN = [
    (1, "I"),
    (4, "IV"),
    (14, "XIV"),
    (1666, "MDCLXVI"),
    (1994, "MCMXCIV"),
    (3999, "MMMCMXCIX"),
]


@pytest.mark.parametrize(("number", "text"), KNOWN)
def test_known_numerals(number, text):
    assert to_roman(number) == text
    assert from_roman(text) == number


def test_every_number_survives_the_round_trip():
    assert all(from_roman(to_roman(number)) == number for number in range(1, 4000))


@pytest.mark.parametrize("number", [0, -1, 4000])
def test_numbers_without_a_numeral(number):
    with pytest.raises(ValueError, match="no Roman numeral"):
        to_roman(number)


@pytest.mark.parametrize("text", ["", "IIII", "IC", "hello", "XIVI"])
def test_text_that_is_no_numeral(text):
    with pytest.raises(ValueError, match="not a Roman numeral"):
        from_roman(text)
