//! The greeting: the first thing that each end of a connection says.
//!
//! The calling end speaks first. The serving end answers with what it serves; the position of a component
//! in that list is its index in the requests of this connection.
//!
//! ```text
//! "ANYLITH\n"  version u16  length u32  | message u32  calls u32  window u32  replica  components
//!                                       | replica: u8 length, name
//!                                       | components: u16 count, of each: u8 length, name,
//!                                       |             fingerprint u64, methods u16
//! ```
//!
//! Numbers are little-endian. Bytes that follow within `length` are ignored: room for later versions.

use anylith_core::{Fingerprint, Name};
use bytes::{Buf, BytesMut};

use crate::frame::ProtocolError;

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;
/// What a connection begins with, in both directions.
const MAGIC: &[u8; 8] = b"ANYLITH\n";
/// The longest greeting after its fixed part, in bytes: room for 10 000 components.
pub const MAX_HELLO_BYTES: usize = 1024 * 1024;
/// The longest greeting of a calling end, in bytes: room for 1 000 components. Nobody knows yet who it is.
pub const MAX_CALLER_HELLO_BYTES: usize = 64 * 1024;

const FIXED_BYTES: usize = MAGIC.len() + 2 + 4;

/// A component that the serving end of a connection offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedComponent {
    /// Its name.
    pub name: Name,
    /// What its interface looks like on the wire.
    pub fingerprint: Fingerprint,
    /// How many methods it has.
    pub methods: u16,
}

/// What an end of a connection says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The longest message that it takes, in bytes.
    pub message_bytes: u32,
    /// The most calls that it serves at a time on this connection; of the calling end, at most makes.
    pub calls: u32,
    /// The credit that each direction of each call begins with, in bytes.
    pub window_bytes: u32,
    /// Its replica.
    pub replica: Name,
    /// What it serves; of the calling end, the components on whose behalf it calls, with no methods.
    pub components: Vec<ServedComponent>,
}

impl Hello {
    /// The greeting as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 32 * self.components.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.message_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.calls.to_le_bytes());
        bytes.extend_from_slice(&self.window_bytes.to_le_bytes());
        encode_name(&self.replica, &mut bytes);
        bytes.extend_from_slice(&(self.components.len() as u16).to_le_bytes());
        for component in &self.components {
            encode_name(&component.name, &mut bytes);
            bytes.extend_from_slice(&component.fingerprint.0.to_le_bytes());
            bytes.extend_from_slice(&component.methods.to_le_bytes());
        }
        let length = (bytes.len() - FIXED_BYTES) as u32;
        bytes[FIXED_BYTES - 4..FIXED_BYTES].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// Takes a greeting from the front of `bytes`, or nothing while it is not complete.
    ///
    /// # Errors
    ///
    /// Another protocol, another version, or a greeting that cannot be read.
    pub fn take(bytes: &mut BytesMut) -> Result<Option<Self>, ProtocolError> {
        let length = Self::length(bytes, MAX_HELLO_BYTES)?;
        if bytes.len() < length {
            return Ok(None);
        }
        Self::decode(&bytes.split_to(length)[FIXED_BYTES..]).map(Some)
    }

    /// How long the greeting is that `bytes` begin with, as far as they tell: at least. After its fixed part it may
    /// have `longest` bytes.
    ///
    /// # Errors
    ///
    /// Another protocol, another version, or a greeting that is too long.
    pub(crate) fn length(bytes: &[u8], longest: usize) -> Result<usize, ProtocolError> {
        // What is wrong is said at the first byte that is: a stranger may never send more.
        let begun = bytes.len().min(MAGIC.len());
        if bytes[..begun] != MAGIC[..begun] {
            return Err(ProtocolError::Magic);
        }
        let Some(fixed) = bytes.get(MAGIC.len()..FIXED_BYTES) else {
            return Ok(FIXED_BYTES);
        };
        let theirs = u16::from_le_bytes([fixed[0], fixed[1]]);
        if theirs != VERSION {
            return Err(ProtocolError::Version {
                ours: VERSION,
                theirs,
            });
        }
        let length = u32::from_le_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]) as usize;
        if length > longest {
            return Err(ProtocolError::Hello("it is too long"));
        }
        Ok(FIXED_BYTES + length)
    }

    fn decode(mut body: &[u8]) -> Result<Self, ProtocolError> {
        let cut_short = |_| ProtocolError::Hello("it is cut short");
        let message_bytes = body.try_get_u32_le().map_err(cut_short)?;
        let calls = body.try_get_u32_le().map_err(cut_short)?;
        let window_bytes = body.try_get_u32_le().map_err(cut_short)?;
        let replica = decode_name(&mut body)?;
        let count = body.try_get_u16_le().map_err(cut_short)?;
        // The bytes of each component are there before room is made for the next.
        let mut components = Vec::new();
        for _ in 0..count {
            components.push(ServedComponent {
                name: decode_name(&mut body)?,
                fingerprint: Fingerprint(body.try_get_u64_le().map_err(cut_short)?),
                methods: body.try_get_u16_le().map_err(cut_short)?,
            });
        }
        Ok(Self {
            message_bytes,
            calls,
            window_bytes,
            replica,
            components,
        })
    }
}

fn encode_name(name: &Name, bytes: &mut Vec<u8>) {
    const { assert!(Name::MAX_LEN <= u8::MAX as usize) };
    bytes.push(name.as_str().len() as u8);
    bytes.extend_from_slice(name.as_str().as_bytes());
}

fn decode_name(body: &mut &[u8]) -> Result<Name, ProtocolError> {
    let length = body
        .try_get_u8()
        .map_err(|_| ProtocolError::Hello("it is cut short"))? as usize;
    let Some((text, rest)) = body.split_at_checked(length) else {
        return Err(ProtocolError::Hello("it is cut short"));
    };
    *body = rest;
    let text = std::str::from_utf8(text).map_err(|_| ProtocolError::Hello("a name is no text"))?;
    Name::new(text).map_err(|_| ProtocolError::Hello("a name is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        let component = |name: &str, fingerprint| ServedComponent {
            name: Name::new(name).unwrap(),
            fingerprint: Fingerprint(fingerprint),
            methods: 3,
        };
        Hello {
            message_bytes: 1 << 26,
            calls: 99,
            window_bytes: 7,
            replica: Name::new("Cart-1").unwrap(),
            components: vec![component("Cart", 1), component("Ad", u64::MAX)],
        }
    }

    #[test]
    fn a_greeting_arrives_whole_however_it_was_cut() {
        let mut bytes = BytesMut::new();
        let encoded = hello().encode();
        for (at, byte) in encoded.iter().enumerate() {
            bytes.extend_from_slice(&[*byte]);
            let taken = Hello::take(&mut bytes).unwrap();
            assert_eq!(taken.is_some(), at + 1 == encoded.len());
            assert!(taken.is_none_or(|taken| taken == hello()));
        }
    }

    #[test]
    fn a_stranger_is_told_from_the_first_wrong_byte() {
        assert_eq!(
            Hello::take(&mut BytesMut::from("GET")),
            Err(ProtocolError::Magic)
        );
    }

    #[test]
    fn another_version_is_named() {
        let mut encoded = hello().encode();
        encoded[8] = 9;
        assert_eq!(
            Hello::take(&mut BytesMut::from(&encoded[..])),
            Err(ProtocolError::Version {
                ours: VERSION,
                theirs: 9
            })
        );
    }

    #[test]
    fn what_a_later_version_adds_to_the_end_is_ignored() {
        let mut encoded = hello().encode();
        encoded.extend_from_slice(b"more");
        let length = (encoded.len() - FIXED_BYTES) as u32;
        encoded[FIXED_BYTES - 4..FIXED_BYTES].copy_from_slice(&length.to_le_bytes());
        assert_eq!(
            Hello::take(&mut BytesMut::from(&encoded[..])),
            Ok(Some(hello()))
        );
    }
}
