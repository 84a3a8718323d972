//! How objects are written down.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;

/// An object that cannot be written as YAML. Text can always be; it would be a mistake of this crate.
#[derive(Debug)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object cannot be written as YAML: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

/// What stands first in any object, and in any entry of a list: that by which people find it.
const FIRST: [&str; 4] = ["apiVersion", "kind", "metadata", "name"];

/// A value whose keys are written in the order in which people look for them.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
                let place = |key: &str| FIRST.iter().position(|first| *first == key);
                fields.sort_by_key(|(key, _)| (place(key).unwrap_or(FIRST.len()), *key));
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.0.serialize(serializer)
            }
        }
    }
}

/// Writes `objects` into one file, which begins with `heading` as a comment.
pub(crate) fn write(heading: &str, objects: &[Value]) -> Result<String, Unreadable> {
    let mut text: String = heading.lines().map(|line| format!("# {line}\n")).collect();
    for (at, object) in objects.iter().enumerate() {
        if at > 0 {
            text.push_str("---\n");
        }
        let options = serde_saphyr::ser_options! {};
        serde_saphyr::to_fmt_writer_with_options(&mut text, &Ordered(object), options)
            .map_err(|error| Unreadable(error.to_string()))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_whatever_it_looks_like() {
        let texts = [
            "",
            " ",
            "true",
            "no",
            "null",
            "~",
            "1e3",
            "0x1f",
            "080",
            "1_000",
            "12:30",
            "2026-01-01",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a",
            "\"",
            "'",
            "{}",
            "[]",
            "a\nb",
            "a\n",
            "\na",
            " a\n b\n",
            "a\n\n",
            "tab\there",
            "ä€😀",
            "\u{0}",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "a\r\nb",
            "---",
            "...",
            "? a",
            "<<",
            "=",
            "on",
            "Y",
            ".inf",
            "0o17",
            "+1",
            "1.",
            "-",
        ];
        for text in texts {
            let object = json!({ "data": { text: text, "list": [text, { "k": text }] } });
            let written = write("A heading.", std::slice::from_ref(&object)).unwrap();
            let read: Value = serde_saphyr::from_str(&written).unwrap_or_else(|error| {
                panic!("{text:?}: {error}\n{written}");
            });
            assert_eq!(read, object, "{text:?}\n{written}");
        }
    }

    #[test]
    fn people_find_what_they_look_for_first() {
        let object = json!({ "spec": { "b": 1, "name": "x" }, "kind": "Pod", "metadata": {}, "apiVersion": "v1" });
        let written = write("", &[object]).unwrap();
        let keys: Vec<&str> = written
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(
            keys,
            ["apiVersion", "kind", "metadata", "spec", "  name", "  b"]
        );
    }
}
