//! Names of applications, components, groups, listeners and methods.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A name that is safe in a file name, a log line, an environment variable and a table header:
/// a letter or `_`, then letters, digits, `_` or `-`, at most [`Name::MAX_LEN`] bytes of ASCII.
///
/// Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes. It leaves room for a prefix within the 63 bytes of a DNS label.
    pub const MAX_LEN: usize = 48;

    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`], which says which rule `text` breaks.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        let text = text.as_ref();
        let problem = if text.is_empty() {
            Some("it is empty")
        } else if text.len() > Self::MAX_LEN {
            Some("it is longer than 48 bytes")
        } else if !text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            Some("it does not begin with a letter")
        } else if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        {
            Some("it has a character other than letters, digits, `_` and `-`")
        } else {
            None
        };
        match problem {
            Some(problem) => Err(InvalidName {
                text: text.chars().take(80).collect(),
                problem,
            }),
            None => Ok(Self(Arc::from(text))),
        }
    }

    /// Whether `text` can be a name. The compiler can ask it, too.
    pub const fn allows(text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {}
                b'0'..=b'9' | b'-' if at > 0 => {}
                _ => return false,
            }
            at += 1;
        }
        !bytes.is_empty() && bytes.len() <= Self::MAX_LEN
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text cannot be a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: {problem}")]
pub struct InvalidName {
    text: String,
    problem: &'static str,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_underscore_and_hyphen() {
        for good in ["Cart", "_x", "cart-2", "a_b"] {
            assert_eq!(Name::new(good).unwrap(), good);
            assert!(Name::allows(good), "{good:?} was refused");
        }
        for bad in ["", "2cart", "a b", "a/b", "..", "grün", &"x".repeat(49)] {
            assert!(Name::new(bad).is_err(), "{bad:?} was taken");
            assert!(!Name::allows(bad), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_bad_name_is_refused_while_it_is_read() {
        assert!(serde_json::from_str::<Name>(r#""../etc""#).is_err());
    }
}
