//! Types that do not arrive as they were sent, found by sending made-up values of them.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::trace::Trace;

/// Why values of a type do not come through an encoding that carries no names. It holds the type's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Misfit {
    /// Its `Deserialize` asks what comes next.
    #[error("`{0}` asks what comes next, which the encoding between processes does not say")]
    Asks(String),
    /// Its `Serialize` writes something else than its `Deserialize` reads.
    #[error("`{0}` is not read as it is written, so another value would arrive")]
    Skips(String),
}

impl Misfit {
    /// What to write instead.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Asks(_) => {
                "do without `untagged`, `tag` and `flatten` of serde, or send it as a text"
            }
            Self::Skips(_) => {
                "do without `skip_serializing`, `skip_serializing_if`, `skip_deserializing`, and `skip` of a variant"
            }
        }
    }

    /// What is wrong with `T`, as far as values that can be made up show it.
    pub fn of<T: Serialize + DeserializeOwned>() -> Option<Self> {
        let name = || without_paths(std::any::type_name::<T>());
        let mut skips = false;
        let mut look = |value: &T| skips |= !comes_through(value);
        let trace = Trace::of(&mut look);
        if let Some(asks) = trace.nodes.iter().find(|node| node.asks) {
            let asks = Some(without_paths(asks.type_name)).filter(|name| !name.is_empty());
            return Some(Self::Asks(asks.unwrap_or_else(name)));
        }
        trace.show_emptier(look);
        skips.then(|| Self::Skips(name()))
    }
}

/// Whether `value` can be read back, and is written the same way then. What cannot be written is no misfit: the
/// caller is told.
fn comes_through<T: Serialize + DeserializeOwned>(value: &T) -> bool {
    let Ok(written) = postcard::to_allocvec(value) else {
        return true;
    };
    match postcard::take_from_bytes::<T>(&written) {
        Ok((read, [])) => postcard::to_allocvec(&read).is_ok_and(|again| again == written),
        Ok(_) | Err(_) => false,
    }
}

/// `Option<Money>` of `core::option::Option<shop::Money>`.
fn without_paths(type_name: &str) -> String {
    let mut short = String::new();
    let mut word = 0;
    for letter in type_name.chars() {
        if letter == ':' {
            short.truncate(word);
        } else {
            short.push(letter);
            let in_word = letter.is_alphanumeric() || letter == '_';
            if !in_word {
                word = short.len();
            }
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn ordinary_types_fit() {
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Event {
            Nothing,
            Paid { units: i64, note: Option<String> },
            Sent(Vec<u8>, HashMap<String, (f64, char)>),
            Nested(Box<Event>),
        }
        #[derive(Serialize, Deserialize)]
        struct Line {
            #[serde(rename = "sku", default)]
            product: String,
            #[serde(skip)]
            #[expect(dead_code, reason = "it is not sent")]
            cached: u32,
            events: Vec<Event>,
            within: std::time::Duration,
            from: std::net::SocketAddr,
        }
        assert_eq!(Misfit::of::<Line>(), None);
        assert_eq!(Misfit::of::<Result<Line, crate::CallError>>(), None);
        assert_eq!(Misfit::of::<()>(), None);
    }

    #[test]
    fn a_variant_that_is_skipped_moves_those_behind_it() {
        #[derive(Serialize, Deserialize)]
        enum Action {
            Nothing,
            #[serde(skip)]
            #[expect(dead_code, reason = "nothing makes it")]
            Internal,
            Refund(u32),
            Charge(u32),
        }
        let misfit = Misfit::of::<Option<Action>>();
        assert_eq!(misfit, Some(Misfit::Skips("Option<Action>".to_owned())));
    }

    #[test]
    fn fields_that_are_written_or_read_alone_are_found() {
        #[derive(Serialize, Deserialize)]
        struct Written {
            a: u8,
            #[serde(skip_deserializing)]
            b: u8,
            c: u8,
        }
        #[derive(Serialize, Deserialize)]
        struct Sometimes {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            a: Option<u8>,
            b: u8,
        }
        assert!(Misfit::of::<Written>().is_some());
        assert!(Misfit::of::<Vec<Sometimes>>().is_some());
    }

    #[test]
    fn types_that_ask_what_comes_next_are_found() {
        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        enum Either {
            A(i32),
            B(String),
        }
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "t")]
        enum Tagged {
            A { x: i32 },
        }
        #[derive(Serialize, Deserialize)]
        struct Flat {
            a: i32,
            #[serde(flatten)]
            rest: HashMap<String, i32>,
        }
        assert_eq!(
            Misfit::of::<Option<Either>>(),
            Some(Misfit::Asks("Either".to_owned()))
        );
        assert!(matches!(Misfit::of::<Tagged>(), Some(Misfit::Asks(_))));
        assert!(matches!(Misfit::of::<Flat>(), Some(Misfit::Asks(_))));
        assert!(matches!(
            Misfit::of::<serde_json::Value>(),
            Some(Misfit::Asks(_))
        ));
    }
}
