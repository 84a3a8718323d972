//! The pages of the shop, and what each of them costs.

use crate::ORDER;

const MUG: &str = "6E92ZMYYFZ";
const WATCH: &str = "1YMWWN1N4O";

/// A page, and the calls that it costs, as they were counted between the originals of these components.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Where it is.
    pub path: &'static str,
    /// What is sent to it; nothing where it is only asked for.
    pub form: Option<&'static [(&'static str, &'static str)]>,
    /// Caller, callee, and how many calls.
    pub calls: &'static [(&'static str, &'static str, u64)],
}

const fn get(path: &'static str, calls: &'static [(&'static str, &'static str, u64)]) -> Page {
    Page {
        path,
        form: None,
        calls,
    }
}

const fn post(
    path: &'static str,
    form: &'static [(&'static str, &'static str)],
    calls: &'static [(&'static str, &'static str, u64)],
) -> Page {
    Page {
        path,
        form: Some(form),
        calls,
    }
}

/// What one visitor asks for, in this order: an empty cart, one with two lines, and their order.
pub const VISIT: [Page; 8] = [
    get(
        "/",
        &[
            ("Frontend", "Ad", 1),
            ("Frontend", "Cart", 1),
            ("Frontend", "Catalog", 1),
            ("Frontend", "Currency", 10),
        ],
    ),
    get(
        "/product/6E92ZMYYFZ",
        &[
            ("Frontend", "Ad", 1),
            ("Frontend", "Cart", 1),
            ("Frontend", "Catalog", 6),
            ("Frontend", "Currency", 2),
            ("Frontend", "Recommendation", 1),
            ("Recommendation", "Catalog", 1),
        ],
    ),
    get(
        "/cart",
        &[
            ("Frontend", "Cart", 1),
            ("Frontend", "Catalog", 5),
            ("Frontend", "Currency", 2),
            ("Frontend", "Recommendation", 1),
            ("Frontend", "Shipping", 1),
            ("Recommendation", "Catalog", 1),
        ],
    ),
    post("/cart", &[("product_id", MUG), ("quantity", "2")], ADD),
    post("/cart", &[("product_id", WATCH), ("quantity", "1")], ADD),
    get(
        "/cart",
        &[
            ("Frontend", "Cart", 1),
            ("Frontend", "Catalog", 7),
            ("Frontend", "Currency", 4),
            ("Frontend", "Recommendation", 1),
            ("Frontend", "Shipping", 1),
            ("Recommendation", "Catalog", 1),
        ],
    ),
    post(
        "/cart/checkout",
        &ORDER,
        &[
            ("Checkout", "Cart", 2),
            ("Checkout", "Catalog", 2),
            ("Checkout", "Currency", 3),
            ("Checkout", "Email", 1),
            ("Checkout", "Payment", 1),
            ("Checkout", "Shipping", 2),
            ("Frontend", "Catalog", 5),
            ("Frontend", "Checkout", 1),
            ("Frontend", "Currency", 1),
            ("Frontend", "Recommendation", 1),
            ("Recommendation", "Catalog", 1),
        ],
    ),
    post("/cart/empty", &[], &[("Frontend", "Cart", 1)]),
];

const ADD: &[(&str, &str, u64)] = &[("Frontend", "Cart", 1), ("Frontend", "Catalog", 1)];
