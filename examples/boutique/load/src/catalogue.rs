//! What the shop sells.

use crate::Money;

/// One of the nine products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Its id, as in `/product/{id}`.
    pub id: &'static str,
    /// Its name, as pages show it.
    pub name: &'static str,
    /// Its price in US dollars.
    pub price: Money,
}

const fn product(id: &'static str, name: &'static str, units: i64, cents: i32) -> Product {
    Product {
        id,
        name,
        price: Money::usd(units, cents),
    }
}

/// All products, in the order of the home page.
pub const CATALOGUE: [Product; 9] = [
    product("OLJCESPC7Z", "Sunglasses", 19, 99),
    product("66VCHSJNUP", "Tank Top", 18, 99),
    product("1YMWWN1N4O", "Watch", 109, 99),
    product("L9ECAV7KIM", "Loafers", 89, 99),
    product("2ZYFJ3GM2N", "Hairdryer", 24, 99),
    product("0PUK6V6EV0", "Candle Holder", 18, 99),
    product("LS4PSXUNUM", "Salt & Pepper Shakers", 18, 49),
    product("9SIQT8TOJO", "Bamboo Glass Jar", 5, 49),
    product("6E92ZMYYFZ", "Mug", 8, 99),
];
