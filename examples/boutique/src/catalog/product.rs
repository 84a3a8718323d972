//! What the shop sells, and the file that says so.

use std::{collections::BTreeSet, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::money::Money;

/// The products that are built in.
const BUILT_IN: &str = include_str!("../../data/products.json");

/// One thing that can be bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Ten letters and digits that never change.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// A sentence or two about it.
    pub description: String,
    /// The path of its picture, below the shop's own.
    pub picture: String,
    /// The price of one, in US dollars.
    pub price_usd: Money,
    /// The keys under which advertisements for it are found.
    pub categories: Vec<String>,
}

impl Product {
    /// Whether `needle`, in lower case, is found in the name or the description.
    pub(super) fn matches(&self, needle: &str) -> bool {
        self.name.to_lowercase().contains(needle)
            || self.description.to_lowercase().contains(needle)
    }
}

/// Why there is no list of products.
#[derive(Debug, thiserror::Error)]
pub enum ProductsError {
    /// The file could not be read.
    #[error("cannot read the products in {path}")]
    Read {
        /// The file, as the config names it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a list of products.
    #[error("{origin} is not a list of products")]
    Malformed {
        /// Where the text came from.
        origin: String,
        /// Where in the text it stops making sense.
        source: serde_json::Error,
    },
    /// Two products have the same id.
    #[error("{origin} has two products with the id {id}")]
    Twice {
        /// Where the text came from.
        origin: String,
        /// The id.
        id: String,
    },
    /// A price is not a valid amount, or less than nothing.
    #[error("{origin}: the price of {id} is not a valid amount")]
    Price {
        /// Where the text came from.
        origin: String,
        /// The product's id.
        id: String,
    },
}

/// The products that are built in, in the order in which the shop shows them.
pub(super) fn built_in() -> Result<Vec<Product>, ProductsError> {
    parse(BUILT_IN, "the built-in list")
}

/// Reads the products in the file at `path`, in its order.
pub(super) async fn read(path: &Path) -> Result<Vec<Product>, ProductsError> {
    let shown = path.display().to_string();
    match tokio::fs::read_to_string(path).await {
        Ok(text) => parse(&text, &shown),
        Err(source) => Err(ProductsError::Read {
            path: shown,
            source,
        }),
    }
}

fn parse(text: &str, origin: &str) -> Result<Vec<Product>, ProductsError> {
    #[derive(Deserialize)]
    struct File {
        products: Vec<Product>,
    }
    let File { products } =
        serde_json::from_str(text).map_err(|source| ProductsError::Malformed {
            origin: origin.to_owned(),
            source,
        })?;
    let mut ids = BTreeSet::new();
    for Product { id, price_usd, .. } in &products {
        let (origin, id) = (origin.to_owned(), id.clone());
        if !price_usd.is_valid() || price_usd.is_negative() {
            return Err(ProductsError::Price { origin, id });
        }
        if !ids.insert(id.clone()) {
            return Err(ProductsError::Twice { origin, id });
        }
    }
    Ok(products)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nine_products_have_fixed_ids_names_and_prices() {
        let products = built_in().unwrap();
        let facts: Vec<_> = products
            .iter()
            .map(|product| (&*product.id, &*product.name, product.price_usd.to_string()))
            .collect();
        let expected = [
            ("OLJCESPC7Z", "Sunglasses", "$19.99"),
            ("66VCHSJNUP", "Tank Top", "$18.99"),
            ("1YMWWN1N4O", "Watch", "$109.99"),
            ("L9ECAV7KIM", "Loafers", "$89.99"),
            ("2ZYFJ3GM2N", "Hairdryer", "$24.99"),
            ("0PUK6V6EV0", "Candle Holder", "$18.99"),
            ("LS4PSXUNUM", "Salt & Pepper Shakers", "$18.49"),
            ("9SIQT8TOJO", "Bamboo Glass Jar", "$5.49"),
            ("6E92ZMYYFZ", "Mug", "$8.99"),
        ];
        assert_eq!(
            facts,
            expected.map(|(id, name, price)| (id, name, price.to_owned()))
        );
    }

    #[test]
    fn a_list_with_a_product_twice_or_a_bad_price_is_refused() {
        let list = |id: &str, nanos: i32| {
            let product = |id: &str| {
                format!(
                    r#"{{"id": "{id}", "name": "", "description": "", "picture": "", "categories": [],
                    "price_usd": {{"currency_code": "USD", "units": 1, "nanos": {nanos}}}}}"#
                )
            };
            format!(r#"{{"products": [{}, {}]}}"#, product("A"), product(id))
        };
        assert_eq!(parse(&list("B", 0), "test").unwrap().len(), 2);
        assert!(matches!(
            parse(&list("A", 0), "test"),
            Err(ProductsError::Twice { .. })
        ));
        assert!(matches!(
            parse(&list("B", -1), "test"),
            Err(ProductsError::Price { .. })
        ));
        assert!(matches!(
            parse("{}", "test"),
            Err(ProductsError::Malformed { .. })
        ));
    }
}
