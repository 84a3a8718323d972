//! The rules for what a visitor fills in.

use std::{fmt::Write as _, sync::LazyLock};

use axum::http::StatusCode;
use serde::Deserialize;

use super::{failure::Failure, form::Form};
use crate::{
    order::Address,
    payment::{CreditCard, passes_luhn},
};

/// What the form on a product's page asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AddToCart {
    pub(super) product_id: String,
    /// 1 to 10.
    pub(super) quantity: i32,
}

impl AddToCart {
    /// Reads and checks the form.
    pub(super) fn read(form: &Form) -> Result<Self, Failure> {
        let quantity = unsigned(form.get("quantity"));
        let product_id = form.get("product_id");
        let mut broken = BrokenRules::default();
        broken.check(
            "Quantity",
            &[
                ("required", quantity != 0),
                ("gte", quantity >= 1),
                ("lte", quantity <= 10),
            ],
        );
        broken.check("ProductID", &[("required", !product_id.is_empty())]);
        broken.none()?;
        Ok(Self {
            product_id: product_id.to_owned(),
            quantity: quantity as i32,
        })
    }
}

/// What the form on the cart's page asks for.
#[derive(Debug)]
pub(super) struct PlaceOrder {
    pub(super) email: String,
    pub(super) address: Address,
    pub(super) card: CreditCard,
}

impl PlaceOrder {
    /// Reads and checks the form.
    pub(super) fn read(form: &Form) -> Result<Self, Failure> {
        let text = |name| form.get(name).to_owned();
        let number = |name| signed(form.get(name));
        let order = Self {
            email: text("email"),
            address: Address {
                street_address: text("street_address"),
                city: text("city"),
                state: text("state"),
                country: text("country"),
                zip_code: number("zip_code"),
            },
            card: CreditCard {
                number: text("credit_card_number"),
                cvv: number("credit_card_cvv"),
                expiration_year: number("credit_card_expiration_year"),
                expiration_month: number("credit_card_expiration_month"),
            },
        };
        order.check()?;
        Ok(order)
    }

    fn check(&self) -> Result<(), Failure> {
        let Self {
            email,
            address,
            card,
        } = self;
        let given = |text: &str| ("required", !text.is_empty());
        let set = |number: i32| ("required", number != 0);
        let at_most = |text: &str, limit| ("max", text.chars().count() <= limit);
        let month = card.expiration_month;
        let mut broken = BrokenRules::default();
        broken.check("Email", &[given(email), ("email", is_email(email))]);
        let street = &address.street_address;
        broken.check("StreetAddress", &[given(street), at_most(street, 512)]);
        broken.check("ZipCode", &[set(address.zip_code)]);
        broken.check("City", &[given(&address.city), at_most(&address.city, 128)]);
        broken.check(
            "State",
            &[given(&address.state), at_most(&address.state, 128)],
        );
        broken.check(
            "Country",
            &[given(&address.country), at_most(&address.country, 128)],
        );
        let number = &card.number;
        broken.check(
            "CcNumber",
            &[given(number), ("credit_card", is_credit_card(number))],
        );
        broken.check(
            "CcMonth",
            &[set(month), ("gte", month >= 1), ("lte", month <= 12)],
        );
        broken.check("CcYear", &[set(card.expiration_year)]);
        broken.check("CcCVV", &[set(card.cvv)]);
        broken.none()
    }
}

/// Reads and checks the form in the head of the pages; returns the code of a currency.
pub(super) fn chosen_currency(form: &Form) -> Result<String, Failure> {
    let code = form.get("currency_code");
    let mut broken = BrokenRules::default();
    broken.check(
        "Currency",
        &[
            ("required", !code.is_empty()),
            ("iso4217", is_iso4217(code)),
        ],
    );
    broken.none()?;
    Ok(code.to_owned())
}

/// One line for each bad field.
#[derive(Default)]
struct BrokenRules(String);

impl BrokenRules {
    /// Notes the first of `rules` that `field` breaks.
    fn check(&mut self, field: &str, rules: &[(&str, bool)]) {
        if let Some((rule, _)) = rules.iter().find(|(_, kept)| !kept) {
            writeln!(self.0, "Field '{field}' is invalid: {rule}")
                .expect("writing to a String works");
        }
    }

    fn none(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, self.0))
    }
}

/// Digits only; anything else is 0, and what is too large is the largest number there is.
fn unsigned(text: &str) -> u32 {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    // Digits that are no `u32` are too many.
    text.parse().unwrap_or(u32::MAX)
}

/// Digits with a sign or without; anything else is 0, and what is out of range is the nearest in it.
fn signed(text: &str) -> i32 {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    text.parse().unwrap_or(if text.starts_with('-') {
        i32::MIN
    } else {
        i32::MAX
    })
}

/// 12 to 19 digits with the right check digit, in pieces of at least three between single blanks.
fn is_credit_card(text: &str) -> bool {
    let digits: String = text.split(' ').collect();
    text.split(' ').all(|piece| piece.len() >= 3)
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (12..=19).contains(&digits.len())
        && passes_luhn(&digits)
}

/// A bare address: dot-atoms or a quoted string, `@`, and a domain of at least two labels.
fn is_email(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        (is_dot_atom(local) || is_quoted(local)) && is_domain(domain)
    })
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || (!c.is_ascii() && c.is_alphabetic())
}

fn is_dot_atom(text: &str) -> bool {
    let allowed = |c| is_letter(c) || c.is_ascii_digit() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(allowed))
}

/// Characters between quotation marks, where `\` makes the next one stand for itself.
fn is_quoted(text: &str) -> bool {
    let inner = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return false };
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' | '\r' | '\n' | '\0' => return false,
            _ => {}
        }
    }
    !escaped
}

fn is_domain(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let alphanumeric = |c: char| is_letter(c) || c.is_ascii_digit();
    let ends = |label: &str, allowed: &dyn Fn(char) -> bool| {
        label.starts_with(allowed) && label.ends_with(allowed)
    };
    let well_formed = |label: &&str| {
        ends(label, &alphanumeric) && label.chars().all(|c| alphanumeric(c) || c == '-')
    };
    labels.len() >= 2
        && labels.iter().all(well_formed)
        && labels.last().is_some_and(|last| ends(last, &is_letter))
}

/// Whether `code` is one of the codes of ISO 4217, in capitals.
fn is_iso4217(code: &str) -> bool {
    #[derive(Deserialize)]
    struct File {
        codes: Vec<String>,
    }
    static CODES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let text = include_str!("../../data/iso4217.json");
        let File { codes } = serde_json::from_str(text).expect("a test reads this file");
        codes
    });
    CODES.iter().any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_digits_only_and_bounded() {
        for (text, number) in [
            ("1", 1),
            ("010", 10),
            ("", 0),
            ("+1", 0),
            ("-1", 0),
            (" 1", 0),
            ("1.0", 0),
            ("١", 0),
            ("4294967295", u32::MAX),
            ("99999999999999999999", u32::MAX),
        ] {
            assert_eq!(unsigned(text), number, "{text:?}");
        }
    }

    #[test]
    fn a_number_may_have_a_sign_and_is_clamped() {
        for (text, number) in [
            ("94043", 94043),
            ("+7", 7),
            ("-7", -7),
            ("", 0),
            ("-", 0),
            ("+-1", 0),
            ("7 ", 0),
            ("0x7", 0),
            ("2147483648", i32::MAX),
            ("-99999999999999999999", i32::MIN),
        ] {
            assert_eq!(signed(text), number, "{text:?}");
        }
    }

    #[test]
    fn a_card_number_is_written_in_pieces_of_three_digits_or_more() {
        for good in [
            "4432801561520454",
            "4432 8015 6152 0454",
            "443 2801561520 454",
        ] {
            assert!(is_credit_card(good), "{good:?}");
        }
        for bad in [
            "",
            "4432801561520455",
            "4432-8015-6152-0454",
            "4432  801561520454",
            " 4432801561520454",
            "44 32801561520454",
            "18",
            "00000000000000000000",
        ] {
            assert!(!is_credit_card(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_email_address_is_bare_and_its_domain_has_two_labels() {
        for good in [
            "someone@example.com",
            "a.b+c@x.y.example",
            "\"two words\"@example.com",
            "\"a\\\"b\"@example.com",
            "jürgen@bücher.example",
            "a@1.example",
            "a@b-c.de",
            "o'neil@example.org",
            "a@x.y",
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "someone",
            "@example.com",
            "someone@",
            "someone@localhost",
            "someone@example.com.",
            "someone@.com",
            "someone@example..com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a b@example.com",
            "a@b@example.com",
            "a@-b.example",
            "a@b-.example",
            "a@example.c1",
            "a@example.1c",
            "a@127.0.0.1",
            "Some One <a@example.com>",
            "\"a@example.com",
            "\"a\"b\"@example.com",
            "a@exa mple.com",
            "a@exa_mple.com",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn a_currency_is_one_of_178_codes_in_capitals() {
        for good in ["EUR", "AUD", "XAU", "ZWG"] {
            assert!(is_iso4217(good), "{good}");
        }
        for bad in ["", "eur", "HRK", "EURO", "ABC"] {
            assert!(!is_iso4217(bad), "{bad}");
        }
    }
}
