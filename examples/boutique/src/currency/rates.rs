//! The table of exchange rates, and the arithmetic of a conversion.

use std::{io, path::Path};

use serde::Deserialize;

use super::CurrencyError;
use crate::money::Money;

/// The rates that are built in.
const BUILT_IN: &str = include_str!("../../data/currency_rates.json");

const NANOS_PER_UNIT: f64 = 1e9;

/// The largest whole number up to which an `f64` tells neighbours apart.
const EXACT_UNITS: f64 = 9_007_199_254_740_992.0;

/// How many units of each currency one euro buys, in the order in which the shop lists them.
#[derive(Debug, Clone)]
pub(super) struct Rates(Vec<(String, f64)>);

/// Why there is no table of rates.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// The file could not be read.
    #[error("cannot read the rates in {path}")]
    Read {
        /// The file, as the config names it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a table of rates.
    #[error("{origin} is not a table of exchange rates")]
    Malformed {
        /// Where the text came from.
        origin: String,
        /// Where in the text it stops making sense.
        source: serde_json::Error,
    },
    /// A rate is not a number above zero.
    #[error("{origin}: the rate of {code} is `{rate}`, and must be a number above zero")]
    BadRate {
        /// Where the text came from.
        origin: String,
        /// The currency.
        code: String,
        /// What stands in the place of its rate.
        rate: String,
    },
}

impl Rates {
    /// Reads the table in the file at `path`, or the one that is built in.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, RatesError> {
        let Some(path) = path else {
            return Self::parse(BUILT_IN, "the built-in table");
        };
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &shown),
            Err(source) => Err(RatesError::Read {
                path: shown,
                source,
            }),
        }
    }

    fn parse(text: &str, origin: &str) -> Result<Self, RatesError> {
        /// Rates are written as text, so that the file can keep the digits of its source.
        #[derive(Deserialize)]
        struct File {
            eur_rates: Vec<(String, String)>,
        }
        let file: File = serde_json::from_str(text).map_err(|source| RatesError::Malformed {
            origin: origin.to_owned(),
            source,
        })?;
        let mut rates = Vec::with_capacity(file.eur_rates.len());
        for (code, rate) in file.eur_rates {
            match rate.parse::<f64>() {
                Ok(number) if number.is_finite() && number > 0.0 => rates.push((code, number)),
                _ => {
                    return Err(RatesError::BadRate {
                        origin: origin.to_owned(),
                        code,
                        rate,
                    });
                }
            }
        }
        Ok(Self(rates))
    }

    /// The codes of all currencies, in the order of the table.
    pub(super) fn codes(&self) -> Vec<String> {
        self.0.iter().map(|(code, _)| code.clone()).collect()
    }

    fn of(&self, code: &str) -> Result<f64, CurrencyError> {
        let known = self.0.iter().find(|(known, _)| known == code);
        known
            .map(|(_, rate)| *rate)
            .ok_or_else(|| CurrencyError::Unsupported(code.to_owned()))
    }

    /// Converts by way of the euro: to it, rounded half up to a billionth, and from it, cut off.
    ///
    /// This is `f64` arithmetic, operation by operation that of the shop it follows, so the same
    /// amounts come out. There is no shortcut for a conversion of a currency into itself.
    pub(super) fn convert(&self, from: &Money, to: &str) -> Result<Money, CurrencyError> {
        let (from_rate, to_rate) = (self.of(&from.currency_code)?, self.of(to)?);
        if !from.is_valid() || from.is_negative() {
            return Err(CurrencyError::Amount);
        }
        let (units, nanos) = carry(
            from.units as f64 / from_rate,
            f64::from(from.nanos) / from_rate,
        );
        let nanos = round_half_up(nanos);
        let (units, nanos) = carry(units * to_rate, nanos * to_rate);
        if units >= EXACT_UNITS {
            return Err(CurrencyError::Amount);
        }
        Ok(Money::new(to, units as i64, nanos.floor() as i32))
    }
}

/// Moves the fraction of `units` into `nanos`, and whole units of `nanos` into `units`.
fn carry(units: f64, nanos: f64) -> (f64, f64) {
    let nanos = nanos + (units % 1.0) * NANOS_PER_UNIT;
    (
        units.floor() + (nanos / NANOS_PER_UNIT).floor(),
        nanos % NANOS_PER_UNIT,
    )
}

/// Unlike `(number + 0.5).floor()`, this is right for the largest number below one half.
fn round_half_up(number: f64) -> f64 {
    let whole = number.floor();
    if number - whole >= 0.5 {
        whole + 1.0
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(units: i64, nanos: i32, from: &str, to: &str) -> (i64, i32) {
        let rates = Rates::load(None).unwrap();
        let money = rates.convert(&Money::new(from, units, nanos), to).unwrap();
        assert_eq!(money.currency_code, to);
        (money.units, money.nanos)
    }

    #[test]
    fn a_rate_must_be_a_number_above_zero() {
        for rate in ["0", "-1", "NaN", "inf", "", "1,5"] {
            let text = format!(r#"{{"eur_rates": [["EUR", "1.0"], ["USD", "{rate}"]]}}"#);
            let error = Rates::parse(&text, "test").unwrap_err();
            assert!(
                matches!(error, RatesError::BadRate { ref code, .. } if code == "USD"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Rates::load(Some(Path::new("no/such/rates.json"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the rates in no/such/rates.json"
        );
    }

    #[test]
    fn rounding_goes_up_from_one_half() {
        assert_eq!(round_half_up(0.499_999_999_999_999_94), 0.0);
        assert_eq!(round_half_up(0.5), 1.0);
        assert_eq!(round_half_up(2.5), 3.0);
    }

    /// The expected values were computed by another program, from the two steps of the definition.
    #[test]
    fn conversions_come_out_as_defined() {
        assert_eq!(convert(19, 990_000_000, "USD", "EUR"), (17, 682_441_398));
        assert_eq!(convert(19, 990_000_000, "USD", "JPY"), (2235, 60_592_707));
        assert_eq!(convert(109, 990_000_000, "USD", "GBP"), (83, 642_992_481));
        assert_eq!(convert(8, 990_000_000, "USD", "TRY"), (48, 705_044_670));
        assert_eq!(convert(5, 490_000_000, "USD", "CAD"), (7, 346_547_545));
        assert_eq!(
            convert(18, 490_000_000, "USD", "IDR"),
            (261_679, 704_563_077)
        );
        assert_eq!(convert(1, 0, "EUR", "USD"), (1, 130_500_000));
        assert_eq!(convert(1_000_000, 0, "JPY", "USD"), (8943, 829_113_923));
        assert_eq!(convert(0, 1, "USD", "JPY"), (0, 126));
        assert_eq!(convert(0, 0, "USD", "EUR"), (0, 0));
    }

    #[test]
    fn every_price_of_the_shop_survives_the_way_to_euros_and_back() {
        for (units, nanos) in [
            (19, 990_000_000),
            (18, 990_000_000),
            (109, 990_000_000),
            (89, 990_000_000),
            (24, 990_000_000),
            (18, 490_000_000),
            (5, 490_000_000),
            (8, 990_000_000),
        ] {
            assert_eq!(convert(units, nanos, "USD", "USD"), (units, nanos));
        }
    }

    #[test]
    fn an_unknown_currency_is_an_error_on_either_side() {
        let rates = Rates::load(None).unwrap();
        let unsupported = |code: &str| Err(CurrencyError::Unsupported(code.to_owned()));
        assert_eq!(
            rates.convert(&Money::new("USD", 1, 0), "XAU"),
            unsupported("XAU")
        );
        assert_eq!(
            rates.convert(&Money::new("usd", 1, 0), "EUR"),
            unsupported("usd")
        );
        assert_eq!(rates.convert(&Money::new("", 1, 0), "EUR"), unsupported(""));
    }

    #[test]
    fn an_amount_outside_the_domain_is_refused() {
        let rates = Rates::load(None).unwrap();
        for (units, nanos) in [(-1, -500_000_000), (1, -1), (0, -1), (i64::MAX, 0)] {
            let amount = Money::new("USD", units, nanos);
            assert_eq!(
                rates.convert(&amount, "EUR"),
                Err(CurrencyError::Amount),
                "{amount:?}"
            );
        }
    }
}
