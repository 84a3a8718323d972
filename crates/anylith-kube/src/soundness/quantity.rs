//! Quantities: `250m`, `64Mi`.

use serde_json::Value;

const UNITS: [&str; 14] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti",
];

/// Whether `value` is a quantity that is more than nothing.
pub(super) fn is_one(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return value.as_f64().is_some_and(|number| number > 0.0);
    };
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    number.parse::<f64>().is_ok_and(|number| number > 0.0) && UNITS.contains(&unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_quantity_is_a_number_with_or_without_a_unit() {
        for good in [json!("250m"), json!("64Mi"), json!("1.5"), json!(2)] {
            assert!(is_one(&good), "{good}");
        }
        for bad in [
            json!("abc"),
            json!(""),
            json!("-1"),
            json!("0"),
            json!("64MiB"),
            json!("1 Gi"),
            json!(null),
        ] {
            assert!(!is_one(&bad), "{bad}");
        }
    }
}
