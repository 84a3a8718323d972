//! `Ad`: short advertisements for what the shop sells.

use anylith::CallError;
use serde::{Deserialize, Serialize};

/// How many advertisements are shown to whom nothing fits.
const AT_RANDOM: usize = 2;

/// Every advertisement: the category under which it is found, the product it is for, what it says.
const ADS: [(&str, &str, &str); 7] = [
    (
        "clothing",
        "66VCHSJNUP",
        "The tank top for days that start warm and end warmer.",
    ),
    (
        "accessories",
        "1YMWWN1N4O",
        "A watch that only tells the time. Imagine.",
    ),
    (
        "footwear",
        "L9ECAV7KIM",
        "Loafers: on in two seconds, good for ten years.",
    ),
    (
        "hair",
        "2ZYFJ3GM2N",
        "Dry in five minutes, and nobody next door wakes up.",
    ),
    (
        "decor",
        "0PUK6V6EV0",
        "Dinner by candlelight begins with something to hold the candle.",
    ),
    (
        "kitchen",
        "9SIQT8TOJO",
        "A jar for everything that comes without a box.",
    ),
    (
        "kitchen",
        "6E92ZMYYFZ",
        "One mug is yours. The second is for whoever rings the bell.",
    ),
];

/// Chooses advertisements.
#[anylith::component]
pub trait Ad {
    /// The advertisements under each of `context_keys`, one key after the other; if there are none, two
    /// at random, which may be the same.
    #[idempotent]
    async fn get(&self, context_keys: &[String]) -> Result<Vec<Advertisement>, AdError>;
}

/// A line of text that leads to a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// The path of the page that it leads to.
    pub redirect_url: String,
    /// What it says.
    pub text: String,
}

/// Why there is no advertisement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AdError {
    /// The call itself failed.
    #[error("the ad component gave no answer")]
    Call(#[from] CallError),
}

/// Advertises from a list in the program.
#[derive(anylith::Component)]
#[component(interface = Ad)]
pub struct AdService {}

impl Ad for AdService {
    async fn get(&self, context_keys: &[String]) -> Result<Vec<Advertisement>, AdError> {
        let fitting = context_keys
            .iter()
            .flat_map(|key| under(key))
            .collect::<Vec<_>>();
        if fitting.is_empty() {
            return Ok((0..AT_RANDOM)
                .map(|_| advertisement(fastrand::usize(..ADS.len())))
                .collect());
        }
        Ok(fitting)
    }
}

fn under(key: &str) -> impl Iterator<Item = Advertisement> {
    (0..ADS.len())
        .filter(move |&index| ADS[index].0 == key)
        .map(advertisement)
}

fn advertisement(index: usize) -> Advertisement {
    let (_, product, text) = ADS[index];
    Advertisement {
        redirect_url: format!("/product/{product}"),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn products(keys: &[&str]) -> Vec<String> {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let ads = AdService {}.get(&keys).await.unwrap();
        ads.iter()
            .map(|ad| ad.redirect_url.replace("/product/", ""))
            .collect()
    }

    #[tokio::test]
    async fn each_category_leads_to_its_products() {
        for (category, leads_to) in [
            ("clothing", &["66VCHSJNUP"][..]),
            ("accessories", &["1YMWWN1N4O"]),
            ("footwear", &["L9ECAV7KIM"]),
            ("hair", &["2ZYFJ3GM2N"]),
            ("decor", &["0PUK6V6EV0"]),
            ("kitchen", &["9SIQT8TOJO", "6E92ZMYYFZ"]),
        ] {
            assert_eq!(products(&[category]).await, leads_to);
        }
    }

    #[tokio::test]
    async fn keys_are_taken_in_order_and_repeats_are_kept() {
        let ads = products(&["hair", "unknown", "kitchen", "hair"]).await;
        assert_eq!(
            ads,
            ["2ZYFJ3GM2N", "9SIQT8TOJO", "6E92ZMYYFZ", "2ZYFJ3GM2N"]
        );
    }

    #[tokio::test]
    async fn two_are_picked_at_random_where_none_fits() {
        for keys in [&[][..], &["tops"], &["Hair"]] {
            assert_eq!(products(keys).await.len(), 2);
        }
    }
}
