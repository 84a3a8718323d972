//! What travels in the benchmarks: a store's products, as every peer but tonic writes them down.
//!
//! The sizes are those of a postcard encoding, and a test holds them: a lookup takes 57 bytes, the product
//! it is answered with 275 bytes in eleven strings and nested lists, a page of the list thirty such products,
//! a blob 64 KiB.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How many products the store has.
pub(crate) const PRODUCTS: usize = 30;

/// The size of a blob, in bytes.
pub(crate) const BLOB_BYTES: usize = 64 * 1024;

/// A question for one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lookup {
    pub(crate) product_id: String,
    pub(crate) session_id: String,
    pub(crate) currency_code: String,
    pub(crate) language: String,
    pub(crate) page: u32,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Money {
    pub(crate) currency_code: String,
    pub(crate) units: i64,
    pub(crate) nanos: i32,
}

/// A colour in which a product can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Variant {
    pub(crate) sku: String,
    pub(crate) colour: String,
    pub(crate) stock: u32,
    pub(crate) sizes: Vec<u32>,
}

/// One thing that the store sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) picture: String,
    pub(crate) price_usd: Money,
    pub(crate) categories: Vec<String>,
    pub(crate) variants: Vec<Variant>,
}

/// The lookup that every `get` sends.
pub(crate) fn lookup() -> Lookup {
    Lookup {
        product_id: "OLJCESPC00".into(),
        session_id: "7f8c1a52-96d0-4b3e-8f5e-2d1c0a9b8e7f".into(),
        currency_code: "EUR".into(),
        language: "en".into(),
        page: 300,
    }
}

/// The body that every `blob` sends.
pub(crate) fn blob() -> Bytes {
    (0..BLOB_BYTES).map(|index| (index % 251) as u8).collect()
}

/// Everything that the store sells; the first is the one that [`lookup`] asks for.
pub(crate) fn products() -> Vec<Product> {
    (0..PRODUCTS).map(product).collect()
}

fn product(index: usize) -> Product {
    let id = format!("OLJCESPC{index:02}");
    let variant = |colour: &str, code: &str| Variant {
        sku: format!("{id}-{code}"),
        colour: colour.into(),
        stock: 7,
        sizes: vec![36, 38, 40],
    };
    Product {
        name: "Sunglasses".into(),
        description:
            "Lenses that keep their promise on the brightest of days, in a frame light enough \
                      to be forgotten, with a case and cloth to go along."
                .into(),
        picture: "/static/img/products/sunglasses.jpg".into(),
        price_usd: Money {
            currency_code: "USD".into(),
            units: 19,
            nanos: 990_000_000,
        },
        categories: vec!["accessories".into(), "summer".into()],
        variants: vec![variant("black", "BLK"), variant("amber", "AMB")],
        id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payloads_have_the_sizes_that_the_figures_name() {
        assert_eq!(postcard::to_stdvec(&lookup()).unwrap().len(), 57);
        assert_eq!(postcard::to_stdvec(&product(0)).unwrap().len(), 275);
        assert_eq!(
            postcard::to_stdvec(&products()).unwrap().len(),
            30 * 275 + 1
        );
    }

    #[test]
    fn the_lookup_asks_for_the_first_product() {
        assert_eq!(lookup().product_id, products()[0].id);
    }
}
