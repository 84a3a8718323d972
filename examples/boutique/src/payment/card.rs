//! Credit cards: their numbers, and who issued them.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

/// A credit card as a shopper typed it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditCard {
    /// The number, possibly with blanks and hyphens.
    pub number: String,
    /// The code on the back.
    pub cvv: i32,
    /// The year up to which it is good.
    pub expiration_year: i32,
    /// The last month of that year in which it is good; 1 is January.
    pub expiration_month: i32,
}

impl fmt::Debug for CreditCard {
    /// Shows nothing of the card, so that it cannot get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreditCard").finish_non_exhaustive()
    }
}

/// A kind of credit card: how its numbers begin, and how long they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brand {
    /// Its name in messages.
    pub(super) name: &'static str,
    /// First digits, from and to. Both ends have the same number of digits.
    prefixes: &'static [(u32, u32)],
    /// How many digits a number has.
    digits: RangeInclusive<usize>,
}

/// Every brand. Some prefixes belong to several: the first in this list gets the number.
#[rustfmt::skip]
const BRANDS: &[Brand] = &[
    Brand { name: "amex", digits: 15..=15, prefixes: &[(34, 34), (37, 37)] },
    Brand { name: "diners_club_carte_blanche", digits: 14..=14, prefixes: &[(300, 305)] },
    Brand { name: "diners_club_international", digits: 14..=14,
        prefixes: &[(36, 36), (38, 38), (39, 39), (309, 309)] },
    Brand { name: "jcb", digits: 16..=16, prefixes: &[(3528, 3589)] },
    Brand { name: "laser", digits: 16..=19,
        prefixes: &[(6304, 6304), (6706, 6706), (6709, 6709), (6771, 6771)] },
    Brand { name: "visa_electron", digits: 16..=16,
        prefixes: &[(4026, 4026), (417_500, 417_500), (4508, 4508), (4844, 4844), (4913, 4913), (4917, 4917)] },
    Brand { name: "visa", digits: 16..=16, prefixes: &[(4, 4)] },
    Brand { name: "mastercard", digits: 16..=16, prefixes: &[(51, 55)] },
    Brand { name: "maestro", digits: 12..=19,
        prefixes: &[(5018, 5018), (5081, 5081), (5044, 5044), (5020, 5020), (5038, 5038), (603_845, 603_845),
            (6304, 6304), (6759, 6759), (6761, 6763), (6220, 6220), (504_834, 504_834), (504_817, 504_817),
            (504_645, 504_645)] },
    Brand { name: "rupay", digits: 16..=16,
        prefixes: &[(508_500, 508_999), (606_985, 607_984), (608_001, 608_500), (652_150, 653_149),
            (817_200, 820_199)] },
    Brand { name: "discover", digits: 16..=16, prefixes: &[(6011, 6011), (622_126, 622_925), (65, 65)] },
];

impl Brand {
    /// The brand whose numbers begin like `number`.
    fn of(number: &str) -> Option<&'static Self> {
        BRANDS.iter().find(|brand| {
            brand.prefixes.iter().any(|&(from, to)| {
                let digits = from.ilog10() as usize + 1;
                let prefix = number
                    .get(..digits)
                    .and_then(|prefix| prefix.parse::<u32>().ok());
                prefix.is_some_and(|prefix| (from..=to).contains(&prefix))
            })
        })
    }
}

/// A card number that belongs to a brand, has its length and the right check digit.
pub(super) struct CardNumber {
    digits: String,
    pub(super) brand: &'static Brand,
}

impl CardNumber {
    /// Reads a number, leaving blanks and hyphens aside; `None` if anything is wrong with it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let brand = Brand::of(&digits)?;
        let valid = brand.digits.contains(&digits.len()) && passes_luhn(&digits);
        valid.then_some(Self { digits, brand })
    }

    /// The digits that may be told.
    pub(super) fn last_four(&self) -> &str {
        &self.digits[self.digits.len() - 4..]
    }
}

/// Whether the last of `digits` is the check digit of the others, after Luhn (ISO/IEC 7812-1).
pub(crate) fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|byte| u32::from(byte.wrapping_sub(b'0')))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `prefix`, filled up with zeros to `length` digits of which the last is the check digit.
    fn number(prefix: &str, length: usize) -> String {
        let body = format!("{prefix:0<width$}", width = length - 1);
        let candidates = (0..10).map(|check| format!("{body}{check}"));
        candidates
            .into_iter()
            .find(|number| passes_luhn(number))
            .unwrap()
    }

    fn brand(number: &str) -> Option<&'static str> {
        CardNumber::parse(number).map(|number| number.brand.name)
    }

    #[test]
    fn a_brand_is_told_by_the_first_digits() {
        for (prefixes, length, name) in [
            ("34 37", 15, "amex"),
            ("300 305", 14, "diners_club_carte_blanche"),
            ("36 38 39 309", 14, "diners_club_international"),
            ("3528 3589", 16, "jcb"),
            ("6304 6706 6709 6771", 16, "laser"),
            ("6304", 19, "laser"),
            ("4026 417500 4508 4844 4913 4917", 16, "visa_electron"),
            ("4000 417499 417501 4432", 16, "visa"),
            ("51 55", 16, "mastercard"),
            (
                "5018 5081 5044 5020 5038 603845 6759 6761 6763 6220 504834 504817 504645",
                12,
                "maestro",
            ),
            ("6759", 19, "maestro"),
            (
                "508500 508999 606985 607984 608001 608500 652150 653149 817200 820199",
                16,
                "rupay",
            ),
            ("6011 622126 622925 65 653150 652149", 16, "discover"),
        ] {
            for prefix in prefixes.split(' ') {
                assert_eq!(brand(&number(prefix, length)), Some(name), "{prefix}");
            }
        }
    }

    #[test]
    fn a_number_of_no_brand_is_refused() {
        for prefix in [
            "0", "1", "2", "306", "3527", "3590", "50", "56", "608000", "622926", "817199",
        ] {
            assert_eq!(brand(&number(prefix, 16)), None, "{prefix}");
        }
    }

    #[test]
    fn a_number_must_have_the_length_of_its_brand() {
        for (prefix, lengths) in [
            ("34", 15..=15),
            ("36", 14..=14),
            ("4", 16..=16),
            ("5018", 12..=19),
        ] {
            for length in 11..=20 {
                assert_eq!(
                    brand(&number(prefix, length)).is_some(),
                    lengths.contains(&length)
                );
            }
        }
    }

    #[test]
    fn blanks_and_hyphens_are_left_aside_and_nothing_else() {
        for good in [
            "4432801561520454",
            "4432-8015-6152-0454",
            " 4432 80156152-0454 ",
        ] {
            assert_eq!(brand(good), Some("visa"), "{good}");
        }
        for bad in [
            "",
            "4",
            "4432801561520455",
            "4432_8015_6152_0454",
            "4432801561520454x",
            "４４３２",
        ] {
            assert_eq!(brand(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_card_shows_nothing_of_itself() {
        let card = CreditCard {
            number: "4432801561520454".into(),
            cvv: 672,
            expiration_year: 2030,
            expiration_month: 1,
        };
        assert_eq!(format!("{card:?}"), "CreditCard { .. }");
    }
}
