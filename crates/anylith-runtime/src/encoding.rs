//! Postcard, with a bound on how deep values are nested.
//!
//! A value is written and read by functions that call each other as deep as the value is nested. Two bytes a level are
//! enough to say "and one more in it", so without a bound a message of some kilobytes would overflow the stack, which
//! ends the process and not the call. What is bounded is the stack itself: whoever goes one level deeper writes
//! or reads a byte, and at each byte the place on the stack is compared with that of the beginning. So it costs
//! one comparison, needs no wrapper around every type, and holds for whatever a type does while it is read.

use postcard::{Deserializer, Error, Result, de_flavors, ser_flavors};
use serde::{Deserialize, Serialize};

/// How much of the stack the nesting of one value may take, in bytes. A thread has two MiB where nothing else is said.
const STACK_BYTES: usize = 512 * 1024;
/// How reading a value ends that is nested too deep. There is no error with a text of one's own; nothing here is
/// followed by a checksum, so this one has no other meaning.
const TOO_DEEP: Error = Error::DeserializeBadCrc;

/// A place on the stack.
#[derive(Debug, Clone, Copy)]
struct Place(usize);

impl Place {
    #[inline(always)]
    fn here() -> Self {
        let here = 0_u8;
        Self((&raw const here).addr())
    }

    /// Whether it is too far from here.
    #[inline(always)]
    fn is_far(self) -> bool {
        self.0.abs_diff(Self::here().0) > STACK_BYTES
    }
}

/// Writes `value` behind what `out` already holds.
pub(crate) fn write<T: ?Sized + Serialize>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    let begin = Place::here();
    postcard::serialize_with_flavor(value, Append { out, begin })
}

struct Append<'a> {
    out: &'a mut Vec<u8>,
    begin: Place,
}

impl ser_flavors::Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<()> {
        if self.begin.is_far() {
            return Err(Error::SerializeBufferFull);
        }
        self.out.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> Result<()> {
        // Most lengths and numbers are one byte, for which a copy of any length is a long way round.
        match bytes {
            &[byte] => self.try_push(byte),
            _ if self.begin.is_far() => Err(Error::SerializeBufferFull),
            _ => {
                self.out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn finalize(self) -> Result<()> {
        Ok(())
    }
}

/// Reads a value from the front of `bytes`, and returns what follows it.
pub(crate) fn take<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<(T, &'de [u8])> {
    let begin = Place::here();
    let mut reader = Deserializer::from_flavor(Rest { bytes, begin });
    let value = T::deserialize(&mut reader)?;
    Ok((value, reader.finalize()?))
}

struct Rest<'de> {
    bytes: &'de [u8],
    begin: Place,
}

impl<'de> de_flavors::Flavor<'de> for Rest<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    #[inline]
    fn pop(&mut self) -> Result<u8> {
        let Some((byte, rest)) = self.bytes.split_first() else {
            return Err(Error::DeserializeUnexpectedEnd);
        };
        if self.begin.is_far() {
            return Err(TOO_DEEP);
        }
        self.bytes = rest;
        Ok(*byte)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.bytes.len())
    }

    #[inline]
    fn try_take_n(&mut self, count: usize) -> Result<&'de [u8]> {
        let taken = self.bytes.split_at_checked(count);
        let (taken, rest) = taken.ok_or(Error::DeserializeUnexpectedEnd)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn finalize(self) -> Result<&'de [u8]> {
        Ok(self.bytes)
    }
}

/// Why a value could not be written, or read.
pub(crate) fn problem(error: &Error) -> String {
    match error {
        // The buffer grows, so it is never full.
        &TOO_DEEP | Error::SerializeBufferFull => "it is nested too deep".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Tree {
        Leaf(u32),
        Twig(Box<Tree>),
        Boughs(Vec<Tree>),
        Named {
            name: String,
            below: Option<Box<Tree>>,
        },
    }

    fn twigs(depth: usize) -> Tree {
        (0..depth).fold(Tree::Leaf(7), |tree, _| Tree::Twig(Box::new(tree)))
    }

    #[test]
    fn what_is_nested_some_hundreds_deep_arrives() {
        let mut bytes = Vec::new();
        write(&twigs(200), &mut bytes).unwrap();
        assert_eq!(take::<Tree>(&bytes).unwrap(), (twigs(200), &[][..]));
    }

    #[test]
    fn hostile_bytes_that_are_nested_for_ever_are_refused() {
        // Twigs, boughs with one bough each, and what has a name and something below it.
        for level in [&[1_u8][..], &[2, 1], &[3, 1, b'x', 1]] {
            let bytes = level.repeat(8 * 1024 * 1024);
            let error = take::<Tree>(&bytes).unwrap_err();
            assert_eq!(problem(&error), "it is nested too deep");
        }
    }

    #[test]
    fn what_is_nested_too_deep_to_be_read_is_not_written() {
        // It would overflow the stack when it is dropped, too, so it is given a large one.
        let test = || {
            let tree = twigs(100_000);
            let error = write(&tree, &mut Vec::new()).unwrap_err();
            assert_eq!(problem(&error), "it is nested too deep");
        };
        let thread = std::thread::Builder::new().stack_size(256 * 1024 * 1024);
        thread.spawn(test).unwrap().join().unwrap();
    }

    #[test]
    fn it_is_written_and_read_as_postcard_does() {
        let value = (
            1_u8,
            -70_000_i64,
            "ab",
            [1.5_f64, -0.0],
            Some(vec![(); 3]),
            'ä',
        );
        let mut bytes = Vec::new();
        write(&value, &mut bytes).unwrap();
        assert_eq!(bytes, postcard::to_stdvec(&value).unwrap());
        type Value = (u8, i64, String, [f64; 2], Option<Vec<()>>, char);
        let (read, rest): (Value, _) = take(&bytes).unwrap();
        assert_eq!(
            (read.1, &*read.2, read.4.unwrap().len(), rest),
            (-70_000, "ab", 3, &[][..])
        );
        for end in 0..bytes.len() {
            assert!(take::<Value>(&bytes[..end]).is_err());
        }
    }
}
