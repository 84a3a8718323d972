//! Hides those parts of a page that are drawn at random, and nothing else, so that pages can be compared.

use std::sync::LazyLock;

use regex::{Captures, Regex};

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
pattern!(
    PRODUCT_LINK,
    r#"<a class="card" href="/product/([0-9A-Z]{10})">"#
);
pattern!(
    AD,
    r#"(?s)(<aside class="ad".*?)<a href="/product/[0-9A-Z]{10}">[^<]+</a>"#
);

/// `answer` of `shop` to a request for `path`, with its random parts hidden.
///
/// - the address of the shop, whose port is free to be any;
/// - UUIDs, and the random part of tracking numbers;
/// - which products are recommended, but not how many;
/// - which advertisement is shown, where more than one fits: on the home page, and for kitchen things;
/// - the length of the body, which depends on those two; the body itself is there.
pub(crate) fn hide(shop: &str, path: &str, mut answer: Answer) -> Answer {
    answer.headers.remove("content-length");
    for value in answer.headers.values_mut().flatten() {
        *value = UUID
            .replace_all(&value.replace(shop, "(shop)"), "(uuid)")
            .into_owned();
    }
    let body = UUID.replace_all(&answer.body, "(uuid)");
    let body = TRACKING.replace_all(&body, "??-$1???-$2???????");
    let body = RECOMMENDATIONS.replace_all(&body, |section: &Captures<'_>| {
        format!(
            "({} recommendations)",
            PRODUCT_LINK.captures_iter(&section[0]).count()
        )
    });
    const KITCHEN: [&str; 3] = ["LS4PSXUNUM", "9SIQT8TOJO", "6E92ZMYYFZ"];
    let body = match path == "/" || KITCHEN.iter().any(|id| path.ends_with(id)) {
        true => AD.replace(&body, "$1(an advertisement)"),
        false => body,
    };
    answer.body = body.into_owned();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(path: &str, body: &str) -> String {
        let answer = Answer {
            status: 200,
            headers: [].into(),
            body: body.to_owned(),
        };
        hide("http://127.0.0.1:1", path, answer).body
    }

    #[test]
    fn what_is_drawn_at_random_is_hidden() {
        assert_eq!(
            hidden("/", "id 11de45b9-9a2f-4a1b-8d1c-0123456789ab."),
            "id (uuid)."
        );
        assert_eq!(hidden("/", "XK-44123-221234567"), "??-44???-22???????");
        let card = r#"<a class="card" href="/product/1YMWWN1N4O">Watch</a>"#;
        let section = format!(r#"<section class="recommendations">{card}{card}</section>"#);
        assert_eq!(hidden("/cart", &section), "(2 recommendations)");
    }

    #[test]
    fn what_is_not_random_is_shown() {
        // A UUID of another version, the price, a product that was chosen.
        for shown in [
            "11de45b9-9a2f-1a1b-8d1c-0123456789ab",
            "$19.99",
            "/product/1YMWWN1N4O",
        ] {
            assert_eq!(hidden("/", shown), shown);
        }
    }

    #[test]
    fn an_advertisement_is_hidden_only_where_others_fit_too() {
        let ad = r#"<aside class="ad"><a href="/product/1YMWWN1N4O">A watch.</a></aside>"#;
        let hid = r#"<aside class="ad">(an advertisement)</aside>"#;
        assert_eq!(hidden("/", ad), hid);
        assert_eq!(hidden("/product/6E92ZMYYFZ", ad), hid);
        assert_eq!(hidden("/product/OLJCESPC7Z", ad), ad);
    }
}
