//! What travels with a call besides its arguments: the trace it belongs to, and the caller's baggage.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

/// What travels with a call, unseen by the methods it passes through.
///
/// Cloning copies two pointers at most. An empty context costs nothing on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallContext {
    /// The trace that the call belongs to, if anybody traces it.
    pub trace: Option<TraceContext>,
    /// Values that the application sent along.
    pub baggage: Baggage,
}

impl CallContext {
    /// Whether there is nothing to carry.
    pub fn is_empty(&self) -> bool {
        self.trace.is_none() && self.baggage.is_empty()
    }
}

/// The place of a call in a distributed trace, as W3C Trace Context defines it
/// (<https://www.w3.org/TR/trace-context/>, version 00).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The whole trace; never all zero.
    pub trace_id: u128,
    /// The span that made the call; never zero.
    pub span_id: u64,
    /// Bit 0: the trace is recorded.
    pub flags: u8,
    /// The vendors' own entries, as they came; empty if there were none.
    #[serde(deserialize_with = "state")]
    pub state: Arc<str>,
}

thread_local! {
    /// The state of most traces: made once for each thread, since every call that comes in has one.
    static NO_STATE: Arc<str> = Arc::from("");
}

impl TraceContext {
    /// The trace with this name, at this span, and without entries of vendors.
    pub fn new(trace_id: u128, span_id: u64, flags: u8) -> Self {
        Self {
            trace_id,
            span_id,
            flags,
            state: NO_STATE.with(Arc::clone),
        }
    }

    /// Whether it is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Reads the entries of vendors, of which there are mostly none.
fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    Ok(match text {
        "" => NO_STATE.with(Arc::clone),
        text => Arc::from(text),
    })
}

impl fmt::Display for TraceContext {
    /// Writes the `traceparent` header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

/// The text is not a `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent header of W3C Trace Context")]
pub struct InvalidTraceParent;

impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    /// Reads a `traceparent` header. Of a version after 00, what follows the flags is ignored, as the
    /// standard asks.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut fields = text.split('-');
        let mut field = |digits: usize| {
            let field = fields.next().ok_or(InvalidTraceParent)?;
            let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if field.len() != digits || !field.bytes().all(lower_hex) {
                return Err(InvalidTraceParent);
            }
            u128::from_str_radix(field, 16).map_err(|_| InvalidTraceParent)
        };
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let more = fields.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceParent);
        }
        Ok(Self::new(trace_id, span_id as u64, flags as u8))
    }
}

/// A value that can travel in the [`Baggage`] of a call.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Tenant(u32);
///
/// impl anylith_core::BaggageItem for Tenant {
///     const KEY: &'static str = "tenant";
/// }
/// ```
pub trait BaggageItem: Serialize + DeserializeOwned {
    /// The name under which it travels; one type a key, throughout the application.
    const KEY: &'static str;
}

/// Typed values that the application sends along with a call and everything that the call causes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Baggage(Option<Arc<BTreeMap<String, Vec<u8>>>>);

impl Baggage {
    /// The most that all keys and values of a call may take together, in bytes.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|items| items.is_empty())
    }

    /// The value of type `T`, if it is there and can be read as one.
    pub fn get<T: BaggageItem>(&self) -> Option<T> {
        let bytes = self.0.as_ref()?.get(T::KEY)?;
        postcard::from_bytes(bytes).ok()
    }

    /// This baggage with `item` added, in the place of another of its type.
    ///
    /// # Errors
    ///
    /// [`BaggageFull`] if it would pass [`Baggage::MAX_BYTES`], or the item cannot be encoded.
    pub fn with<T: BaggageItem>(&self, item: &T) -> Result<Self, BaggageFull> {
        let bytes = postcard::to_stdvec(item).map_err(|_| BaggageFull { key: T::KEY })?;
        let mut items = self.0.as_deref().cloned().unwrap_or_default();
        items.insert(T::KEY.to_owned(), bytes);
        let size: usize = items
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if size > Self::MAX_BYTES {
            return Err(BaggageFull { key: T::KEY });
        }
        Ok(Self(Some(Arc::new(items))))
    }
}

/// The item does not fit into the baggage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` does not fit into the baggage of a call, which may have 8 KiB in all")]
pub struct BaggageFull {
    key: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_reading_and_writing() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_not_a_traceparent_is_refused() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(bad.parse::<TraceContext>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn baggage_is_bounded() {
        #[derive(Serialize, Deserialize)]
        struct Note(String);
        impl BaggageItem for Note {
            const KEY: &'static str = "note";
        }
        let small = Baggage::default().with(&Note("hi".into())).unwrap();
        assert_eq!(small.get::<Note>().unwrap().0, "hi");
        assert!(small.with(&Note("x".repeat(Baggage::MAX_BYTES))).is_err());
    }
}
