import pytest

from ci_common.quantities import format_bytes, parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("1k", 1024), ("512m", 512 * 1024**2), ("1.5 GiB", 1536 * 1024**2)],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("250ms", 0.25), ("10m", 600), ("1h30m", 5400), ("1d 2 h", 93600)],
)
def test_durations(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "nan", "1e9", "10 20", "1m 5", "٣"])
def test_text_that_is_neither(text):
    with pytest.raises(ValueError, match="give "):
        parse_seconds(text)
    with pytest.raises(ValueError, match="give "):
        parse_bytes(text if text != "1m 5" else "1mm")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1536 * 1024**2, "1.5 GiB"),
        (5 * 1024**4, "5.0 TiB"), (5000 * 1024**4, "5000.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_as_people_read_them(size, text):
    assert format_bytes(size) == text
