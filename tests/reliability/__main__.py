from tests.reliability.report import PAGE, page

PAGE.write_text(page())
print(f"wrote {PAGE}")
