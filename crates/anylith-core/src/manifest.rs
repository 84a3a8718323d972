//! The manifest: what an application says of itself when it is asked.
//!
//! It is printed by the application's own binary, so it is never out of date, and read by the command,
//! which draws it, checks topologies against it and plans from it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Misfit, Name};

/// An application as its own binary describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The application's name.
    pub app: Name,
    /// What the application is for, in a sentence; empty if its source does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Every component, in the order in which `app!` lists them. Names are unique.
    pub components: Vec<ComponentManifest>,
}

impl Manifest {
    /// The component called `name`.
    pub fn component(&self, name: &str) -> Option<&ComponentManifest> {
        self.components
            .iter()
            .find(|component| component.name == name)
    }
}

/// One component of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentManifest {
    /// The name of its interface, or of its struct where it has none.
    pub name: Name,
    /// The name of the struct that implements it, for messages; empty if nothing is known of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub implementation: String,
    /// What it is for, in a sentence; empty if its source does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The components it is dependent on, in the order of its fields, each once.
    pub dependencies: Vec<Name>,
    /// The listeners it serves, in the order of its fields.
    pub listeners: Vec<Name>,
    /// The methods of its interface, in the order of the trait; empty if it has none.
    pub methods: Vec<MethodManifest>,
    /// What its interface looks like on the wire.
    pub fingerprint: Fingerprint,
    /// What its methods take or return that would not arrive as it was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<MisfitManifest>,
    /// Whether there may be only one of it at any time, and what is known of such a one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singleton: Option<Singleton>,
}

/// A component of which at most one is ready at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Singleton {
    /// Whether it hands its state over to the one that takes its place.
    #[serde(default)]
    pub hands_over: bool,
}

/// Something that would not arrive as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisfitManifest {
    /// Where it is: "the argument `line` of `Cart.add`".
    pub place: String,
    /// What is wrong with its type.
    pub misfit: Misfit,
}

/// One method of a component's interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodManifest {
    /// The method's name.
    pub name: Name,
    /// Whether a call that may have run can be sent again.
    pub idempotent: bool,
    /// Which sides of the call are streams.
    #[serde(default)]
    pub shape: MethodShape,
    /// The argument by which calls are routed: with the same value of it they go to the same replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routed: Option<String>,
}

/// Which sides of a call are streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodShape {
    /// One request, one answer.
    #[default]
    Unary,
    /// One request, a stream of answers.
    ServerStreaming,
    /// A stream of requests, one answer.
    ClientStreaming,
    /// Streams both ways.
    Bidirectional,
}

/// A hash of everything that caller and callee must agree on to understand each other: method names, and
/// the shapes of arguments, results and errors. Written as 16 hexadecimal digits.
///
/// Two builds with the same fingerprint can call each other. It guards against mistakes, not malice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of nothing: where [`Fingerprint::with`] begins.
    pub const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds `text`. The order matters, and `"ab"` then `"c"` differs from `"a"` then `"bc"`.
    ///
    /// FNV-1a with 64 bits (Fowler, Noll, Vo; <https://www.rfc-editor.org/rfc/rfc9923>), with a byte
    /// that is never in UTF-8 after each text.
    #[must_use]
    pub const fn with(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut hash = self.0;
        let mut index = 0;
        while index <= bytes.len() {
            let byte = if index < bytes.len() {
                bytes[index]
            } else {
                0xff
            };
            hash = (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
            index += 1;
        }
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_where_one_text_ends() {
        let split = Fingerprint::EMPTY.with("ab").with("c");
        assert_ne!(split, Fingerprint::EMPTY.with("a").with("bc"));
        assert_eq!(split, split.to_string().parse().unwrap());
    }
}
