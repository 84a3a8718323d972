//! `Payment`: charges credit cards, as far as a demonstration goes.

mod card;

use anylith::CallError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::card::CardNumber;
use crate::{calendar::YearMonth, money::Money};

pub use self::card::CreditCard;
pub(crate) use self::card::passes_luhn;

/// Charges credit cards.
#[anylith::component]
pub trait Payment {
    /// Charges `amount` to `card` and returns the id of the transaction, a UUID.
    ///
    /// # Errors
    ///
    /// [`PaymentError`], in the order of its variants, if the card is refused; it is then not charged.
    async fn charge(&self, amount: &Money, card: &CreditCard) -> Result<String, PaymentError>;
}

/// Why a card was not charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PaymentError {
    /// The number belongs to no brand, or has the wrong length or check digit.
    #[error("Credit card info is invalid")]
    Invalid,
    /// The card is good, but of a brand that the shop does not take.
    #[error("Sorry, we cannot process {0} credit cards. Only VISA or MasterCard is accepted.")]
    Unaccepted(String),
    /// The card is no longer good.
    #[error("Your credit card (ending {last_four}) expired on {month}/{year}")]
    Expired {
        /// The last digits of its number.
        last_four: String,
        /// The last month in which it was good.
        month: i32,
        /// The year of that month.
        year: i32,
    },
    /// The call itself failed.
    #[error("the payment component gave no answer")]
    Call(#[from] CallError),
}

/// Checks credit cards, and charges none.
#[derive(anylith::Component)]
#[component(interface = Payment, start)]
pub struct PaymentService {
    #[init]
    today: fn() -> YearMonth,
}

impl PaymentService {
    /// Goes by the clock of the machine.
    ///
    /// # Errors
    ///
    /// None.
    pub async fn start(_parts: PaymentServiceParts) -> Result<Self, std::convert::Infallible> {
        Ok(Self::with_calendar(YearMonth::now))
    }

    /// Goes by `today`, which a test can set.
    pub fn with_calendar(today: fn() -> YearMonth) -> Self {
        Self { today }
    }
}

impl Payment for PaymentService {
    async fn charge(&self, amount: &Money, card: &CreditCard) -> Result<String, PaymentError> {
        let number = CardNumber::parse(&card.number).ok_or(PaymentError::Invalid)?;
        if !matches!(number.brand.name, "visa" | "mastercard") {
            return Err(PaymentError::Unaccepted(number.brand.name.to_owned()));
        }
        let (month, year) = (card.expiration_month, card.expiration_year);
        if (self.today)().is_after(YearMonth { year, month }) {
            let last_four = number.last_four().to_owned();
            return Err(PaymentError::Expired {
                last_four,
                month,
                year,
            });
        }
        let transaction = Uuid::new_v4().to_string();
        // Nothing of the card: neither its number nor its code may get into a log.
        tracing::info!(
            transaction,
            brand = number.brand.name,
            currency = amount.currency_code,
            units = amount.units,
            nanos = amount.nanos,
            "charged a card"
        );
        Ok(transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn charge(number: &str, month: i32, year: i32) -> Result<String, String> {
        let payment = PaymentService::with_calendar(|| YearMonth {
            year: 2026,
            month: 11,
        });
        let card = CreditCard {
            number: number.into(),
            cvv: 0,
            expiration_year: year,
            expiration_month: month,
        };
        let charged = payment.charge(&Money::new("USD", 1, 0), &card).await;
        charged.map_err(|refusal| refusal.to_string())
    }

    #[tokio::test]
    async fn a_charge_is_known_by_a_random_uuid() {
        let first = charge("4432801561520454", 11, 2026).await.unwrap();
        let second = charge("5555 5555 5555 4444", 1, 2027).await.unwrap();
        assert_eq!(Uuid::parse_str(&first).unwrap().get_version_num(), 4);
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_card_is_good_to_the_end_of_its_last_month() {
        let expired = |date: &str| Err(format!("Your credit card (ending 0454) expired on {date}"));
        assert!(charge("4432801561520454", 11, 2026).await.is_ok());
        assert!(charge("4432801561520454", 12, 2025).await == expired("12/2025"));
        assert!(charge("4432801561520454", 10, 2026).await == expired("10/2026"));
        assert!(charge("4432801561520454", 1, 1).await == expired("1/1"));
        assert!(charge("4432801561520454", i32::MAX, i32::MAX).await.is_ok());
    }

    #[tokio::test]
    async fn the_number_is_looked_at_first_then_the_brand_then_the_date() {
        let refusal = async |number: &str| charge(number, 1, 2000).await.unwrap_err();
        assert_eq!(
            refusal("4432801561520455").await,
            "Credit card info is invalid"
        );
        assert_eq!(
            refusal("378282246310005").await,
            "Sorry, we cannot process amex credit cards. Only VISA or MasterCard is accepted."
        );
        assert_eq!(
            refusal("4432801561520454").await,
            "Your credit card (ending 0454) expired on 1/2000"
        );
    }
}
