//! Names, labels and ranges of addresses.

use std::net::IpAddr;

use anylith_topology::{is_domain, is_label};
use serde_json::Value;

/// Whether an object of `kind` can be called `name`.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), String> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let (fits, what) = match kind {
        // It is a name in the DNS, and has been since before labels might begin with a digit.
        "Service" => (
            is_label(name) && begins,
            "a label that begins with a letter",
        ),
        // Its pods have a label with its name and a hash.
        "StatefulSet" | "Deployment" => (
            is_label(name) && name.len() <= 52,
            "a label of at most 52 letters",
        ),
        "Kustomization" => (true, ""),
        _ => (is_domain(name), "a name"),
    };
    match fits {
        true => Ok(()),
        false => Err(format!("its name is not {what}")),
    }
}

/// What is wrong with `labels`.
pub(super) fn check_labels(labels: Option<&Value>) -> Vec<String> {
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let wrong = labels.filter_map(|(key, value)| {
        let (prefix, name) = key
            .split_once('/')
            .map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        if !prefix.is_none_or(is_domain) || name.is_empty() || !is_value(name) {
            return Some(format!("`{key}` is no label"));
        }
        let is_right = value.as_str().is_some_and(is_value);
        (!is_right).then(|| format!("the label {key} cannot be {value}"))
    });
    wrong.collect()
}

/// Whether a label can have the value `text`.
fn is_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |end: Option<char>| end.is_none_or(|end| end.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(inner)
        && ends(text.chars().next())
        && ends(text.chars().last())
}

/// Whether `text` is a range of addresses, as in `10.0.0.0/8`.
pub(super) fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}
