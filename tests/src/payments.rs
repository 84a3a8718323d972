//! Whether everybody has paid once: what shoppers were told, beside what was charged.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use boutique_load::Money;

use crate::Shop;

/// An amount, by its currency, its whole units, and billionths of one.
type Amount = (String, i64, i64);

/// What was charged, by the logs of a shop.
///
/// Logs are not kept forever, so they are read as they grow: call [`Payments::catch_up`] now and then.
#[derive(Debug, Default)]
pub struct Payments {
    /// How far each log was read.
    read: BTreeMap<PathBuf, u64>,
    /// How often each amount was charged.
    charged: BTreeMap<Amount, usize>,
}

/// What a shopper was told about a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was made.
    Paid,
    /// It was not made.
    NotPaid,
    /// Nobody knows.
    Unknown,
}

/// How the payments of a shop differ from what shoppers were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settlement {
    /// Payments that were confirmed, and made.
    pub confirmed: usize,
    /// Payments of which nobody knew, and which were made.
    pub unknown: usize,
    /// Payments that somebody was told of, and that nobody made.
    pub lost: usize,
    /// Payments that were made, and that nobody knows of.
    pub doubled: usize,
}

impl Payments {
    /// Reads what was charged since it was last called.
    ///
    /// # Errors
    ///
    /// If a log cannot be read.
    pub fn catch_up(&mut self, shop: &Shop) -> anyhow::Result<()> {
        for log in shop.logs()? {
            self.read_on(&log)
                .with_context(|| format!("cannot read {}", log.display()))?;
        }
        Ok(())
    }

    fn read_on(&mut self, log: &Path) -> anyhow::Result<()> {
        let from = self.read.entry(log.to_owned()).or_default();
        let mut file = fs::File::open(log)?;
        file.seek(SeekFrom::Start(*from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // What follows the last end of a line is still being written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |end| end + 1));
        *from += bytes.len() as u64;
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = serde_json::from_slice(line).unwrap_or_default();
            if let Some(amount) = charge(&line)? {
                *self.charged.entry(amount).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Compares what was charged with what shoppers were told, amount by amount.
    pub fn settle(&self, told: impl IntoIterator<Item = (Money, Told)>) -> Settlement {
        let mut by_amount: BTreeMap<Amount, [usize; 2]> = BTreeMap::new();
        for (money, told) in told {
            let [paid, unknown] = by_amount.entry(amount(money)).or_default();
            match told {
                Told::Paid => *paid += 1,
                Told::Unknown => *unknown += 1,
                Told::NotPaid => {}
            }
        }
        let mut settlement = Settlement::default();
        let amounts = self
            .charged
            .keys()
            .filter(|one| !by_amount.contains_key(one));
        settlement.doubled += amounts.map(|one| self.charged[one]).sum::<usize>();
        for (amount, [paid, unknown]) in &by_amount {
            let charged = self.charged.get(amount).copied().unwrap_or(0);
            settlement.confirmed += charged.min(*paid);
            settlement.lost += paid.saturating_sub(charged);
            let rest = charged.saturating_sub(*paid);
            settlement.unknown += rest.min(*unknown);
            settlement.doubled += rest.saturating_sub(*unknown);
        }
        settlement
    }
}

/// The amount in a line of a log that says that a card was charged.
fn charge(line: &serde_json::Value) -> anyhow::Result<Option<Amount>> {
    if line["msg"] != "charged a card" {
        return Ok(None);
    }
    let fields = &line["fields"];
    let number = |name: &str| fields[name].as_i64().context("an amount without a number");
    let currency = fields["currency"].as_str();
    let currency = currency.context("an amount without a currency")?;
    Ok(Some((
        currency.to_owned(),
        number("units")?,
        number("nanos")?,
    )))
}

fn amount(money: Money) -> Amount {
    let currency = money.currency().code().to_owned();
    (currency, money.units(), money.nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charged(amounts: &[Money]) -> Payments {
        let mut payments = Payments::default();
        for money in amounts {
            *payments.charged.entry(amount(*money)).or_default() += 1;
        }
        payments
    }

    const CHEAP: Money = Money::usd(1, 0);
    const DEAR: Money = Money::usd(99, 0);

    #[test]
    fn who_was_told_that_he_paid_has_paid_once() {
        let told = [(CHEAP, Told::Paid), (CHEAP, Told::Paid), (DEAR, Told::Paid)];
        let all = charged(&[CHEAP, CHEAP, DEAR]).settle(told);
        let confirmed = Settlement {
            confirmed: 3,
            ..Settlement::default()
        };
        assert_eq!(all, confirmed);
        assert_eq!(charged(&[CHEAP, DEAR]).settle(told).lost, 1);
        assert_eq!(charged(&[CHEAP, CHEAP, DEAR, DEAR]).settle(told).doubled, 1);
    }

    #[test]
    fn what_nobody_knew_may_be_so_or_so_and_not_twice() {
        let told = [(CHEAP, Told::Unknown)];
        assert_eq!(charged(&[]).settle(told), Settlement::default());
        assert_eq!(charged(&[CHEAP]).settle(told).unknown, 1);
        assert_eq!(charged(&[CHEAP, CHEAP]).settle(told).doubled, 1);
    }

    #[test]
    fn who_was_told_that_he_did_not_pay_has_not() {
        assert_eq!(
            charged(&[CHEAP]).settle([(CHEAP, Told::NotPaid)]).doubled,
            1
        );
        assert_eq!(charged(&[DEAR]).settle([]).doubled, 1);
    }
}
