//! Amounts of money, exact to a billionth of a unit.

use std::fmt;

use serde::{Deserialize, Serialize};

const NANOS_PER_UNIT: i128 = 1_000_000_000;

/// An amount in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Three letters of ISO 4217, such as `EUR`.
    pub currency_code: String,
    /// The whole units.
    pub units: i64,
    /// The rest, in billionths of a unit; of the same sign as the units unless one of them is zero.
    pub nanos: i32,
}

/// Why an amount could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MoneyError {
    /// The sign or the size of `nanos` is wrong.
    #[error("one of the specified money values is invalid")]
    Invalid,
    /// Amounts in different currencies have no sum.
    #[error("mismatching currency codes")]
    MismatchingCurrency,
    /// Nothing can be bought less than once.
    #[error("a quantity of {0} is less than one")]
    Quantity(i32),
    /// The result has more units than an `i64` holds.
    #[error("the amount is too large")]
    TooLarge,
}

impl Money {
    /// `units` and `nanos` of the currency `code`.
    pub fn new(code: impl Into<String>, units: i64, nanos: i32) -> Self {
        Self {
            currency_code: code.into(),
            units,
            nanos,
        }
    }

    /// Nothing, in the currency `code`.
    pub fn zero(code: impl Into<String>) -> Self {
        Self::new(code, 0, 0)
    }

    /// Whether `nanos` is less than one unit, and not of the opposite sign of `units`.
    pub fn is_valid(&self) -> bool {
        let in_range = i128::from(self.nanos).abs() < NANOS_PER_UNIT;
        in_range && self.units.signum() * i64::from(self.nanos.signum()) != -1
    }

    /// Whether this is neither more nor less than nothing.
    pub fn is_zero(&self) -> bool {
        self.units == 0 && self.nanos == 0
    }

    /// Whether this is valid and more than nothing.
    pub fn is_positive(&self) -> bool {
        self.is_valid() && self.total_nanos() > 0
    }

    /// Whether this is valid and less than nothing.
    pub fn is_negative(&self) -> bool {
        self.is_valid() && self.total_nanos() < 0
    }

    /// Whether both name the same currency. Two amounts that name none do not.
    pub fn has_same_currency(&self, other: &Self) -> bool {
        self.currency_code == other.currency_code && !self.currency_code.is_empty()
    }

    /// The same amount with the other sign.
    #[must_use]
    pub fn negate(&self) -> Self {
        Self::new(
            &self.currency_code,
            self.units.saturating_neg(),
            self.nanos.saturating_neg(),
        )
    }

    /// The exact sum of both.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Invalid`] if either is invalid, [`MoneyError::MismatchingCurrency`] if they name
    /// different currencies (two that name none agree), [`MoneyError::TooLarge`].
    pub fn sum(&self, other: &Self) -> Result<Self, MoneyError> {
        if !self.is_valid() || !other.is_valid() {
            return Err(MoneyError::Invalid);
        }
        if self.currency_code != other.currency_code {
            return Err(MoneyError::MismatchingCurrency);
        }
        self.with_total(self.total_nanos() + other.total_nanos())
    }

    /// The exact price of `quantity` things that cost this much each.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Invalid`], [`MoneyError::Quantity`] if `quantity` is less than 1,
    /// [`MoneyError::TooLarge`].
    pub fn times(&self, quantity: i32) -> Result<Self, MoneyError> {
        if !self.is_valid() {
            return Err(MoneyError::Invalid);
        }
        if quantity < 1 {
            return Err(MoneyError::Quantity(quantity));
        }
        self.with_total(self.total_nanos() * i128::from(quantity))
    }

    fn total_nanos(&self) -> i128 {
        i128::from(self.units) * NANOS_PER_UNIT + i128::from(self.nanos)
    }

    fn with_total(&self, nanos: i128) -> Result<Self, MoneyError> {
        let units = i64::try_from(nanos / NANOS_PER_UNIT).map_err(|_| MoneyError::TooLarge)?;
        // The remainder of a division by 10⁹ is less than that, and has the sign of `nanos`.
        Ok(Self::new(
            &self.currency_code,
            units,
            (nanos % NANOS_PER_UNIT) as i32,
        ))
    }
}

impl fmt::Display for Money {
    /// Writes what a page shows: `$19.99`. It has two decimals whatever the currency, cut off and not
    /// rounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 || self.nanos < 0 {
            "-"
        } else {
            ""
        };
        let (units, cents) = (
            self.units.unsigned_abs(),
            self.nanos.unsigned_abs() / 10_000_000,
        );
        write!(
            f,
            "{sign}{symbol}{units}.{cents:02}",
            symbol = symbol(&self.currency_code)
        )
    }
}

/// The sign that stands before an amount; `$` where the shop knows no other.
fn symbol(code: &str) -> &'static str {
    match code {
        "JPY" => "¥",
        "EUR" => "€",
        "TRY" => "₺",
        "GBP" => "£",
        _ => "$",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(units: i64, nanos: i32) -> Money {
        Money::new("USD", units, nanos)
    }

    #[test]
    fn nanos_are_less_than_a_unit_and_of_its_sign() {
        for (units, nanos) in [
            (0, 0),
            (1, 999_999_999),
            (-1, -999_999_999),
            (0, -1),
            (0, 1),
            (-3, 0),
        ] {
            assert!(usd(units, nanos).is_valid(), "{units} {nanos}");
        }
        for (units, nanos) in [
            (1, 1_000_000_000),
            (-1, -1_000_000_000),
            (1, -1),
            (-1, 1),
            (0, i32::MIN),
        ] {
            assert!(!usd(units, nanos).is_valid(), "{units} {nanos}");
        }
    }

    #[test]
    fn an_invalid_amount_is_neither_positive_nor_negative() {
        assert!(usd(0, 1).is_positive() && !usd(0, 1).is_negative());
        assert!(usd(-1, 0).is_negative() && !usd(-1, 0).is_positive());
        assert!(!usd(0, 0).is_positive() && !usd(0, 0).is_negative() && usd(0, 0).is_zero());
        assert!(!usd(2, -1).is_positive() && !usd(2, -1).is_negative());
    }

    #[test]
    fn a_sum_carries_in_both_directions() {
        assert_eq!(
            usd(2, 200_000_000).sum(&usd(2, 200_000_000)),
            Ok(usd(4, 400_000_000))
        );
        assert_eq!(
            usd(2, 900_000_000).sum(&usd(2, 900_000_000)),
            Ok(usd(5, 800_000_000))
        );
        assert_eq!(
            usd(2, 0).sum(&usd(-2, -500_000_000)),
            Ok(usd(0, -500_000_000))
        );
        assert_eq!(
            usd(2, 0).sum(&usd(-1, -500_000_000)),
            Ok(usd(0, 500_000_000))
        );
        assert_eq!(
            usd(-2, -800_000_000).sum(&usd(-3, -300_000_000)),
            Ok(usd(-6, -100_000_000))
        );
    }

    #[test]
    fn a_sum_is_refused_for_invalid_amounts_first_then_for_other_currencies() {
        let euro = Money::new("EUR", 1, 0);
        assert_eq!(usd(1, -1).sum(&euro), Err(MoneyError::Invalid));
        assert_eq!(euro.sum(&usd(1, -1)), Err(MoneyError::Invalid));
        assert_eq!(usd(1, 0).sum(&euro), Err(MoneyError::MismatchingCurrency));
        assert_eq!(
            Money::new("", 1, 0).sum(&Money::new("", 1, 0)),
            Ok(Money::new("", 2, 0))
        );
        assert_eq!(usd(i64::MAX, 0).sum(&usd(1, 0)), Err(MoneyError::TooLarge));
    }

    #[test]
    fn amounts_without_a_currency_do_not_share_one() {
        assert!(usd(1, 0).has_same_currency(&usd(2, 0)));
        assert!(!usd(1, 0).has_same_currency(&Money::new("EUR", 1, 0)));
        assert!(!Money::zero("").has_same_currency(&Money::zero("")));
    }

    #[test]
    fn negating_keeps_the_currency() {
        assert_eq!(usd(1, 5).negate(), usd(-1, -5));
        assert_eq!(usd(0, 0).negate(), usd(0, 0));
    }

    #[test]
    fn a_line_price_is_exact() {
        assert_eq!(usd(19, 990_000_000).times(3), Ok(usd(59, 970_000_000)));
        assert_eq!(
            usd(0, 999_999_999).times(1_000_000_000),
            Ok(usd(999_999_999, 0))
        );
        assert_eq!(usd(1, 0).times(0), Err(MoneyError::Quantity(0)));
        assert_eq!(usd(1, 0).times(-2), Err(MoneyError::Quantity(-2)));
        assert_eq!(usd(i64::MAX, 0).times(2), Err(MoneyError::TooLarge));
        assert_eq!(usd(1, -1).times(2), Err(MoneyError::Invalid));
    }

    #[test]
    fn two_decimals_are_shown_and_the_rest_is_cut_off() {
        assert_eq!(usd(19, 999_999_999).to_string(), "$19.99");
        assert_eq!(usd(0, 9_999_999).to_string(), "$0.00");
        assert_eq!(Money::new("JPY", 2235, 60_000_000).to_string(), "¥2235.06");
        for (code, shown) in [
            ("CAD", "$1.50"),
            ("EUR", "€1.50"),
            ("TRY", "₺1.50"),
            ("GBP", "£1.50"),
            ("SEK", "$1.50"),
        ] {
            assert_eq!(Money::new(code, 1, 500_000_000).to_string(), shown);
        }
        assert_eq!(usd(0, -500_000_000).to_string(), "-$0.50");
    }
}
