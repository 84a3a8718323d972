//! Prices, worked out a second time: the shop's own arithmetic is what is being tested.

use std::fmt;

/// The currencies that the shop offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "ISO 4217 names them")]
pub enum Currency {
    EUR,
    #[default]
    USD,
    JPY,
    GBP,
    TRY,
    CAD,
}

impl Currency {
    /// All of them, in the order in which shoppers draw them.
    pub const ALL: [Self; 6] = [
        Self::EUR,
        Self::USD,
        Self::JPY,
        Self::CAD,
        Self::GBP,
        Self::TRY,
    ];

    /// Its code, as forms and cookies write it.
    pub fn code(self) -> &'static str {
        match self {
            Self::EUR => "EUR",
            Self::USD => "USD",
            Self::JPY => "JPY",
            Self::GBP => "GBP",
            Self::TRY => "TRY",
            Self::CAD => "CAD",
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::USD | Self::CAD => "$",
            Self::JPY => "¥",
            Self::EUR => "€",
            Self::TRY => "₺",
            Self::GBP => "£",
        }
    }

    /// Units for one euro.
    fn rate(self) -> f64 {
        match self {
            Self::EUR => 1.0,
            Self::USD => 1.1305,
            Self::JPY => 126.40,
            Self::GBP => 0.85970,
            Self::TRY => 6.1247,
            Self::CAD => 1.5128,
        }
    }
}

/// What the shop asks for shipping, in US dollars, unless the cart is empty.
pub const SHIPPING: Money = Money::usd(8, 99);

/// An amount of money, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    currency: Currency,
    units: i64,
    nanos: i64,
}

const NANOS: i64 = 1_000_000_000;

impl Money {
    /// US dollars.
    pub const fn usd(dollars: i64, cents: i32) -> Self {
        Self {
            currency: Currency::USD,
            units: dollars,
            nanos: cents as i64 * (NANOS / 100),
        }
    }

    /// Nothing at all.
    pub const fn zero(currency: Currency) -> Self {
        Self {
            currency,
            units: 0,
            nanos: 0,
        }
    }

    /// What it is counted in.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whole units of it.
    pub fn units(self) -> i64 {
        self.units
    }

    /// What is left of it besides [`Money::units`], in billionths of a unit.
    pub fn nanos(self) -> i64 {
        self.nanos
    }

    /// The same amount in another currency, cut off at a billionth of a unit. It goes through euros with
    /// floating-point numbers, digit for digit as the shop promises to.
    #[must_use]
    pub fn to(self, currency: Currency) -> Self {
        let from = self.currency.rate();
        let (units, nanos) = carry(self.units as f64 / from, self.nanos as f64 / from);
        let nanos = (nanos + 0.5).floor();
        let (units, nanos) = carry(units * currency.rate(), nanos * currency.rate());
        Self {
            currency,
            units: units.floor() as i64,
            nanos: nanos.floor() as i64,
        }
    }

    /// The price of `quantity` of them.
    #[must_use]
    pub fn times(self, quantity: u32) -> Self {
        let nanos = self.nanos * i64::from(quantity);
        let units = self.units * i64::from(quantity) + nanos / NANOS;
        Self {
            currency: self.currency,
            units,
            nanos: nanos % NANOS,
        }
    }

    /// The sum of two amounts of one currency.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        debug_assert_eq!(self.currency, other.currency, "a sum has one currency");
        let nanos = self.nanos + other.nanos;
        let units = self.units + other.units + nanos / NANOS;
        Self {
            currency: self.currency,
            units,
            nanos: nanos % NANOS,
        }
    }
}

/// Moves the fraction of `units` into `nanos`, and whole units out of them.
fn carry(units: f64, nanos: f64) -> (f64, f64) {
    let nanos = nanos + (units % 1.0) * NANOS as f64;
    (
        units.floor() + (nanos / NANOS as f64).floor(),
        nanos % NANOS as f64,
    )
}

impl fmt::Display for Money {
    /// As pages show it: two decimals, cut off, also for yen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}.{:02}",
            self.currency.symbol(),
            self.units,
            self.nanos / (NANOS / 100)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_shown_cut_off() {
        assert_eq!(Money::usd(19, 99).to_string(), "$19.99");
        assert_eq!(Money::usd(5, 4).to_string(), "$5.04");
        // 19.99 / 1.1305 = 17.6824…, and * 126.40 = 2235.06…
        assert_eq!(Money::usd(19, 99).to(Currency::EUR).to_string(), "€17.68");
        assert_eq!(Money::usd(19, 99).to(Currency::JPY).to_string(), "¥2235.06");
    }

    #[test]
    fn sums_carry() {
        assert_eq!(Money::usd(5, 49).times(10), Money::usd(54, 90));
        assert_eq!(Money::usd(1, 99).plus(Money::usd(0, 1)), Money::usd(2, 0));
    }
}
