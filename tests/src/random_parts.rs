//! Hides those parts of a page that are drawn at random, and nothing else, so that pages can be compared.

use std::{collections::BTreeSet, sync::LazyLock};

use anyhow::{Context as _, ensure};
use boutique_load::CATALOGUE;
use regex::Regex;

use crate::Answer;

macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("the pattern is one"));
    };
}

// Sessions, requests and orders have random UUIDs (version 4).
pattern!(
    UUID,
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"
);
// Of a parcel's number the letters and the last digits are random; what is before those is the address'.
pattern!(TRACKING, r"\b[A-Y]{2}-(\d+)\d{3}-(\d+)\d{7}\b");
pattern!(
    RECOMMENDATIONS,
    r#"(?s)<section class="recommendations".*?</section>"#
);
pattern!(CARD, r"(?s)<li>.*?</li>");
pattern!(CARD_LINK, r#"href="/product/([^"]*)""#);
pattern!(CART_LINE, r"SKU #([0-9A-Z]+)");
pattern!(
    AD,
    r#"(?s)(<aside class="ad".*?)<a href="/product/([^"]*)">[^<]+</a>"#
);

/// The most recommendations that a page shows.
const RECOMMENDED: usize = 4;

/// For these there are two advertisements, of which one is drawn. All other products have one or none.
const KITCHEN: [&str; 3] = ["LS4PSXUNUM", "9SIQT8TOJO", "6E92ZMYYFZ"];

/// What the two lead to.
const KITCHEN_ADS: [&str; 2] = ["9SIQT8TOJO", "6E92ZMYYFZ"];

/// What all seven lead to.
const ADS: [&str; 7] = [
    "66VCHSJNUP",
    "1YMWWN1N4O",
    "L9ECAV7KIM",
    "2ZYFJ3GM2N",
    "0PUK6V6EV0",
    "9SIQT8TOJO",
    "6E92ZMYYFZ",
];

/// `answer` of `shop` to a request for `path`, with its random parts hidden.
///
/// - the address of the shop, whose port is free to be any;
/// - UUIDs, and the random part of tracking numbers;
/// - of each recommendation, which product it is;
/// - which advertisement is shown, where more than one fits: on the home page, and for kitchen things;
/// - the length of the body, which depends on those two; the body itself is there.
///
/// # Errors
///
/// If something is drawn that cannot be: a product that does not exist, that is looked at or bought already, or
/// twice; too few or too many of them; an advertisement that does not fit, or none.
pub(crate) fn hide(shop: &str, path: &str, mut answer: Answer) -> anyhow::Result<Answer> {
    if let Some(length) = answer.headers.remove("content-length")
        && !answer.body.is_empty()
    {
        ensure!(
            length == [answer.body.len().to_string()],
            "{length:?} is not the length of the body"
        );
    }
    for value in answer.headers.values_mut().flatten() {
        *value = UUID
            .replace_all(&value.replace(shop, "(shop)"), "(uuid)")
            .into_owned();
    }
    let body = UUID.replace_all(&answer.body, "(uuid)");
    let mut body = TRACKING
        .replace_all(&body, "??-$1???-$2???????")
        .into_owned();
    if answer.status == 200 && !body.is_empty() {
        if let Some(known) = known_products(path, &body) {
            body = hide_recommendations(&body, &known)?;
        }
        if let Some(fitting) = fitting_ads(path) {
            body = hide_ad(&body, fitting)?;
        }
    }
    answer.body = body;
    Ok(answer)
}

/// The products that are not recommended on the page, for they are on it already; `None` if it recommends none.
fn known_products(path: &str, page: &str) -> Option<BTreeSet<String>> {
    match path.split_once("/product/") {
        Some(("", id)) => Some([id.to_owned()].into()),
        _ if path == "/cart" => {
            let lines = CART_LINE.captures_iter(page);
            Some(lines.map(|line| line[1].to_owned()).collect())
        }
        _ if path == "/cart/checkout" => Some(BTreeSet::new()),
        _ => None,
    }
}

/// The products to which an advertisement on the page at `path` leads, if it is drawn.
fn fitting_ads(path: &str) -> Option<&'static [&'static str]> {
    match path.strip_prefix("/product/") {
        Some(id) if KITCHEN.contains(&id) => Some(&KITCHEN_ADS),
        _ if path == "/" => Some(&ADS),
        _ => None,
    }
}

/// Hides which products are recommended, and leaves everything else of the section as it is.
fn hide_recommendations(page: &str, known: &BTreeSet<String>) -> anyhow::Result<String> {
    let count = RECOMMENDED.min(CATALOGUE.len() - known.len());
    let Some(section) = RECOMMENDATIONS.find(page) else {
        ensure!(count == 0, "nothing is recommended, and not {count} things");
        return Ok(page.to_owned());
    };
    let mut seen = known.clone();
    let mut hidden = String::new();
    let mut end = 0;
    let cards: Vec<_> = CARD.find_iter(section.as_str()).collect();
    ensure!(
        cards.len() == count,
        "{} things are recommended, and not {count}",
        cards.len()
    );
    for card in cards {
        let (id, shape) = hide_product(card.as_str())?;
        ensure!(
            seen.insert(id.to_owned()),
            "{id} is recommended twice, or on its own page, or to who has it: {}",
            section.as_str()
        );
        hidden += &section.as_str()[end..card.start()];
        hidden += &shape;
        end = card.end();
    }
    hidden += &section.as_str()[end..];
    Ok([&page[..section.start()], &hidden, &page[section.end()..]].concat())
}

/// The id of the product that a card shows, and the card without what belongs to that product.
fn hide_product(card: &str) -> anyhow::Result<(&'static str, String)> {
    let link = CARD_LINK.captures(card).context("a card without a link")?;
    let product = CATALOGUE.iter().find(|product| product.id == &link[1]);
    let product = product.with_context(|| format!("there is no product {}", &link[1]))?;
    let slug = product
        .name
        .to_lowercase()
        .replace('&', "and")
        .replace(' ', "-");
    let name = product.name.replace('&', "&#38;");
    let mut shape = card.to_owned();
    for (part, shown, stand_in) in [
        ("link", format!("\"/product/{}\"", product.id), "(link)"),
        (
            "picture",
            format!("\"/static/img/products/{slug}.svg\""),
            "(picture)",
        ),
        ("name", format!(">{name}<"), ">(name)<"),
    ] {
        ensure!(
            shape.matches(&shown).count() == 1,
            "the {part} of {} is not once in its card: {card}",
            product.id
        );
        shape = shape.replace(&shown, stand_in);
    }
    Ok((product.id, shape))
}

/// Hides an advertisement that leads to one of `fitting`.
fn hide_ad(page: &str, fitting: &[&str]) -> anyhow::Result<String> {
    let ad = AD.captures(page).context("there is no advertisement")?;
    ensure!(
        fitting.contains(&&ad[2]),
        "an advertisement for {} does not fit",
        &ad[2]
    );
    Ok(AD.replace(page, "$1(an advertisement)").into_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn hidden(path: &str, body: &str) -> anyhow::Result<String> {
        let answer = Answer {
            status: 200,
            headers: [("content-length".to_owned(), vec![body.len().to_string()])].into(),
            body: body.to_owned(),
        };
        Ok(hide("http://127.0.0.1:1", path, answer)?.body)
    }

    fn unchanged(path: &str, body: &str) {
        assert_eq!(hidden(path, body).unwrap(), body);
    }

    /// A section with the products of these indices, and something before and after it.
    fn recommending(products: &[usize]) -> String {
        let mut cards = String::new();
        for index in products {
            let product = CATALOGUE[*index];
            let slug = ["sunglasses", "tank-top", "watch", "loafers", "hairdryer"][*index];
            let _ = write!(
                cards,
                r#"<li><a href="/product/{}"><img src="/static/img/products/{slug}.svg">an image<b>{}</b></a></li>"#,
                product.id, product.name,
            );
        }
        format!(r#"before <section class="recommendations">{cards}</section> after"#)
    }

    #[test]
    fn ids_that_are_drawn_at_random_are_hidden() {
        assert_eq!(
            hidden("/robots.txt", "id 11de45b9-9a2f-4a1b-8d1c-0123456789ab.").unwrap(),
            "id (uuid)."
        );
        assert_eq!(
            hidden("/robots.txt", "XK-44123-221234567").unwrap(),
            "??-44???-22???????"
        );
    }

    #[test]
    fn what_is_not_random_is_shown() {
        // A UUID of another version, the price, a product that was chosen.
        for shown in [
            "11de45b9-9a2f-1a1b-8d1c-0123456789ab",
            "$19.99",
            "/product/1YMWWN1N4O",
        ] {
            unchanged("/robots.txt", shown);
        }
    }

    #[test]
    fn of_a_recommendation_only_the_product_is_hidden() {
        let card = r#"<li><a href=(link)><img src=(picture)>an image<b>(name)</b></a></li>"#;
        let shape = format!(
            r#"before <section class="recommendations">{}</section> after"#,
            card.repeat(4)
        );
        for products in [[0, 1, 2, 3], [4, 2, 0, 1]] {
            assert_eq!(hidden("/cart", &recommending(&products)).unwrap(), shape);
        }
        let other = recommending(&[0, 1, 2, 3]).replace("an image", "another");
        assert_ne!(hidden("/cart", &other).unwrap(), shape);
    }

    #[test]
    fn a_recommendation_that_cannot_be_is_an_error() {
        let good = recommending(&[0, 1, 2, 3]);
        for (what, path, page) in [
            ("too few", "/cart", recommending(&[0, 1, 2])),
            ("too many", "/cart", recommending(&[0, 1, 2, 3, 4])),
            ("none", "/cart", String::from("nothing")),
            ("one twice", "/cart", recommending(&[0, 1, 2, 2])),
            (
                "one in the cart",
                "/cart",
                format!("SKU #1YMWWN1N4O {good}"),
            ),
            ("the page's own", "/product/1YMWWN1N4O", good.clone()),
            (
                "an unknown one",
                "/cart",
                good.replace("OLJCESPC7Z", "OLJCESPC7Y"),
            ),
            ("another's name", "/cart", good.replace("Sunglasses", "Mug")),
            (
                "another's picture",
                "/cart",
                good.replace("sunglasses", "mug"),
            ),
        ] {
            assert!(hidden(path, &page).is_err(), "{what}");
        }
    }

    #[test]
    fn who_has_everything_is_recommended_nothing() {
        let lines: String = CATALOGUE
            .map(|product| format!("SKU #{} ", product.id))
            .concat();
        unchanged("/cart", &lines);
        assert!(hidden("/cart", &(lines + &recommending(&[0]))).is_err());
    }

    #[test]
    fn an_advertisement_is_hidden_only_where_others_fit_too() {
        let ad = |id| format!(r#"<aside class="ad"><a href="/product/{id}">Buy it.</a></aside>"#);
        let hid = r#"<aside class="ad">(an advertisement)</aside>"#;
        assert_eq!(hidden("/", &ad("1YMWWN1N4O")).unwrap(), hid);
        assert!(
            hidden("/", &ad("OLJCESPC7Z")).is_err(),
            "nothing leads there"
        );
        assert!(hidden("/", "").is_ok(), "a body that was not asked for");
        assert!(hidden("/", "no advertisement").is_err());
        let mug = |id| format!("{}{}", recommending(&[0, 1, 2, 3]), ad(id));
        assert!(
            hidden("/product/6E92ZMYYFZ", &mug("9SIQT8TOJO"))
                .unwrap()
                .ends_with(hid)
        );
        assert!(hidden("/product/6E92ZMYYFZ", &mug("1YMWWN1N4O")).is_err());
        let watch = recommending(&[0, 1, 3, 4]) + &ad("1YMWWN1N4O");
        let shown = hidden("/product/1YMWWN1N4O", &watch).unwrap();
        assert!(shown.ends_with(&ad("1YMWWN1N4O")));
    }

    #[test]
    fn a_length_that_is_not_the_body_s_is_an_error() {
        let headers = [("content-length".to_owned(), vec!["7".to_owned()])];
        let answer = Answer {
            status: 200,
            headers: headers.into(),
            body: "eight...".to_owned(),
        };
        assert!(hide("http://127.0.0.1:1", "/robots.txt", answer).is_err());
    }
}
