from basket import Basket


def filled(price, count=1):
    basket = Basket()
    basket.add("tea", price, count)
    return basket


def test_total_counts_every_item():
    basket = filled(3_50, count=2)
    basket.add("cup", 8_00)

    assert basket.total == 15_00


def test_a_small_basket_costs_what_it_costs():
    assert filled(99_99).discounted() == 99_99


def test_a_large_basket_is_cheaper():
    assert filled(60_00, count=2).discounted() == 108_00


def test_the_discount_begins_at_exactly_one_hundred():
    assert filled(100_00).discounted() == 90_00
