//! What a shopper was told, and whether that may be.

use boutique_load::{Exchange, RequestKind};
use tokio::time::Instant;

use crate::payments::Told;

/// A time in which a process of the shop was killed, and came back.
pub type Outage = (Instant, Instant);

/// What the shop says on the page of an order that failed, and what that tells about the payment. These calls are not
/// idempotent, so nobody may make them again who does not know whether they were executed.
const ORDERS: [(&str, Told); 3] = [
    ("the checkout component gave no answer", Told::Unknown),
    (
        "could not charge the card: the payment component gave no answer",
        Told::Unknown,
    ),
    (
        "shipping error: the shipping component gave no answer",
        Told::Paid,
    ),
];

/// What it says where something could not be put into a cart: that is not idempotent either.
const ADDING: &str = "failed to add to cart: the cart component gave no answer";

/// Why a request failed that should not have; `None` if it did not, or if what was killed then explains it.
pub fn fault(exchange: &Exchange, outages: &[Outage]) -> Option<String> {
    let kind = exchange.kind;
    let mut near = outages.iter();
    let near = near.any(|(from, to)| exchange.meets(*from, *to));
    if exchange.repeated && !near {
        return Some(format!("{kind}: a connection broke that nobody had cut"));
    }
    let wrong = exchange.wrong.as_ref()?;
    let explained = match (kind, exchange.answered) {
        (RequestKind::Home | RequestKind::Product | RequestKind::Cart, _) => false,
        (RequestKind::Add | RequestKind::SetCurrency | RequestKind::Checkout, false) => true,
        (RequestKind::SetCurrency, true) => false,
        (RequestKind::Add, true) => wrong.contains(ADDING),
        (RequestKind::Checkout, true) => ORDERS.iter().any(|(text, _)| wrong.contains(text)),
    };
    (!near || !explained).then(|| format!("{kind}: {wrong}"))
}

/// What a shopper knows of the payment that he asked for.
pub(crate) fn told(exchange: &Exchange) -> Told {
    let Some(wrong) = &exchange.wrong else {
        return Told::Paid;
    };
    if !exchange.answered {
        return Told::Unknown;
    }
    let known = ORDERS.iter().find(|(text, _)| wrong.contains(text));
    // An answer that is none of these came before the payment, or is about a page that is wrong.
    known.map_or(Told::NotPaid, |(_, told)| *told)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A request of a second that went wrong so; `None` if there was no answer.
    fn failed(kind: RequestKind, begun: Instant, page: Option<&str>) -> Exchange {
        Exchange {
            kind,
            begun,
            took: Duration::from_secs(1),
            wrong: Some(page.unwrap_or("no answer").to_owned()),
            answered: page.is_some(),
            repeated: false,
            total: None,
        }
    }

    #[test]
    fn only_what_nobody_may_repeat_is_explained_by_a_death_nearby() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let (near, far) = ([(now, now)], [(later, later)]);
        let lost = failed(RequestKind::Add, now, Some(ADDING));
        assert_eq!(fault(&lost, &near), None);
        assert!(fault(&lost, &far).is_some(), "nobody died then");
        let unanswered = failed(RequestKind::Checkout, now, None);
        assert_eq!(fault(&unanswered, &near), None);
        let idempotent = "shipping quote failure: the shipping component gave no answer";
        for (kind, page) in [
            (RequestKind::Checkout, Some(idempotent)),
            (RequestKind::Add, Some("could not retrieve product")),
            (RequestKind::Home, None),
            (RequestKind::SetCurrency, Some("no")),
        ] {
            assert!(fault(&failed(kind, now, page), &near).is_some(), "{kind}");
        }
    }

    #[test]
    fn a_connection_breaks_only_where_somebody_died() {
        let now = Instant::now();
        let mut again = failed(RequestKind::Home, now, None);
        (again.wrong, again.repeated) = (None, true);
        assert_eq!(fault(&again, &[(now, now)]), None);
        assert!(fault(&again, &[]).is_some());
    }

    #[test]
    fn a_page_says_whether_the_card_was_charged() {
        let told = |page| told(&failed(RequestKind::Checkout, Instant::now(), page));
        assert_eq!(told(None), Told::Unknown);
        assert_eq!(
            told(Some(
                "could not charge the card: the payment component gave no answer"
            )),
            Told::Unknown
        );
        assert_eq!(
            told(Some(
                "shipping error: the shipping component gave no answer"
            )),
            Told::Paid
        );
        assert_eq!(
            told(Some("cart failure: the cart component gave no answer")),
            Told::NotPaid
        );
    }
}
