"""A shopping basket; prices are in cents."""


class Basket:
    def __init__(self):
        self.lines = []

    def add(self, name, price, count=1):
        self.lines.append((name, price, count))

    @property
    def total(self):
        return sum(price * count for _, price, count in self.lines)

    def discounted(self):
        """Return the total, less 10 % from 100.00 on."""
        # The bug that the tests find: 100.00 itself should get the discount too.
        return self.total * 9 // 10 if self.total > 100_00 else self.total
