//! The names of traces and of spans, as W3C Trace Context writes them.

use std::{fmt, num::NonZero, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Names a trace: 32 hexadecimal digits, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZero<u128>);

/// Names a span within its trace: 16 hexadecimal digits, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZero<u64>);

/// The text names no trace, or no span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId {
    digits: usize,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not {} hexadecimal digits in small letters that are not all 0",
            self.digits
        )
    }
}

impl std::error::Error for InvalidId {}

impl TraceId {
    /// The one with this number; `None` for 0.
    pub fn new(id: u128) -> Option<Self> {
        NonZero::new(id).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u128 {
        self.0.get()
    }
}

impl SpanId {
    /// The one with this number; `None` for 0.
    pub fn new(id: u64) -> Option<Self> {
        NonZero::new(id).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Reads exactly so many hexadecimal digits in small letters.
fn digits(text: &str, digits: usize) -> Result<u128, InvalidId> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_digit) {
        return Err(InvalidId { digits });
    }
    u128::from_str_radix(text, 16).map_err(|_| InvalidId { digits })
}

impl FromStr for TraceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(digits(text, 32)?).ok_or(InvalidId { digits: 32 })
    }
}

impl FromStr for SpanId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(digits(text, 16)? as u64).ok_or(InvalidId { digits: 16 })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SpanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_writing_and_reading_and_nothing_else_is_one() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        assert_eq!(
            "b7ad6b7169203331".parse::<SpanId>().unwrap().to_string(),
            "b7ad6b7169203331"
        );
        for bad in [
            "",
            "0",
            &"0".repeat(32),
            &text.to_uppercase(),
            &text[1..],
            "+af7651916cd43dd8448eb211c80319c",
        ] {
            assert!(bad.parse::<TraceId>().is_err(), "{bad:?} was taken");
        }
    }
}
