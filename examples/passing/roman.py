"""Roman numerals, from 1 to 3999."""

NUMERALS = {
    1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC",
    50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V", 4: "IV", 1: "I",
}  # fmt: skip


def to_roman(number):
    if not 1 <= number <= 3999:
        raise ValueError(f"{number} has no Roman numeral: 1 to 3999 have one")
    text = ""
    for value, numeral in NUMERALS.items():
        count, number = divmod(number, value)
        text += numeral * count
    return text


def from_roman(text):
    number, rest = 0, text
    for value, numeral in NUMERALS.items():
        while rest.startswith(numeral):
            number, rest = number + value, rest.removeprefix(numeral)
    if rest or not number or to_roman(number) != text:
        raise ValueError(f"{text!r} is not a Roman numeral")
    return number
