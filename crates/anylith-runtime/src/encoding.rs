//! Postcard, with a bound on how deep values are nested, and on how many elements they have that take no bytes.
//!
//! A value is written and read by functions that call each other as deep as the value is nested. Two bytes a level are
//! enough to say "and one more in it", so without a bound a message of some kilobytes would overflow the stack, which
//! ends the process and not the call. What is bounded is the stack itself: whoever goes one level deeper writes
//! or reads a byte, and at each byte the place on the stack is compared with that of the beginning. So it costs
//! one comparison, and holds for whatever a type does while it is read.
//!
//! A `()` takes no bytes, so ten bytes can claim 2^60 of them, and a loop over those does not end. Every element that
//! takes bytes has a first one, which is that of no other element: a message has no more of them than bytes.
//! So all that its sequences claim is taken out of one account, of that many and some more, before the first
//! is read: one subtraction a sequence, and nothing an element.

use postcard::{Deserializer, Error, Result, de_flavors, ser_flavors};
use serde::{
    Deserialize, Serialize,
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
};

/// How much of the stack the nesting of one value may take, in bytes. A thread has two MiB where nothing else is said.
const STACK_BYTES: usize = 512 * 1024;
/// How reading a value ends that is nested too deep. There is no error with a text of one's own; nothing here is
/// followed by a checksum, so this one has no other meaning.
const TOO_DEEP: Error = Error::DeserializeBadCrc;
/// How many elements of one value may take no bytes.
const MOST_EMPTY: usize = 1024 * 1024;
/// How reading a value ends that has more. Nothing here is framed by zeros, so this one, too, has no other meaning.
const TOO_MANY: Error = Error::DeserializeBadEncoding;

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
    let mut reader = Reader {
        simple: Deserializer::from_flavor(Rest { bytes, begin }),
        account: bytes.len().saturating_add(MOST_EMPTY),
    };
    let value = T::deserialize(&mut reader)?;
    Ok((value, reader.simple.finalize()?))
}

/// Reads values as postcard does, and keeps the account of their elements.
struct Reader<'de> {
    /// Reads what has no parts.
    simple: Deserializer<'de, Rest<'de>>,
    /// How many elements the sequences to come may claim.
    account: usize,
}

impl<'de> Reader<'de> {
    /// Reads the length of a sequence or a map.
    #[inline]
    fn elements<'a>(&'a mut self) -> Result<Elements<'a, 'de>> {
        let left = usize::deserialize(&mut self.simple)?;
        self.account = self.account.checked_sub(left).ok_or(TOO_MANY)?;
        Ok(Elements { reader: self, left })
    }

    /// What is in a tuple or a struct: as many values as its type says.
    #[inline]
    fn fields<'a>(&'a mut self, count: usize) -> Elements<'a, 'de> {
        Elements {
            reader: self,
            left: count,
        }
    }
}

/// Hands what has no parts, and no elements, to postcard.
macro_rules! simple {
    ($($deserialize:ident)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.simple.$deserialize(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    simple! {
        deserialize_any deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match u8::deserialize(&mut self.simple)? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Error::DeserializeBadOption),
        }
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.simple.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.elements()?)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.fields(count))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self.fields(count))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_map(self.elements()?)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self.fields(fields.len()))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of a sequence or a map that were not read yet.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl Elements<'_, '_> {
    /// For how many room may be made at once. A claim that the bytes of the message cannot bear out gets no room.
    #[inline]
    fn believed(&self) -> Option<usize> {
        (self.reader.account >= MOST_EMPTY).then_some(self.left)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.believed()
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(&mut *self.reader)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.believed()
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        let index = u32::deserialize(&mut self.simple)?;
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.fields(count))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self.fields(fields.len()))
    }
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
        &TOO_MANY => format!("it claims more than {MOST_EMPTY} elements for which it has no bytes"),
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

    /// Two to the power of 60, as a length.
    const COUNTLESS: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

    #[test]
    fn hostile_lengths_of_what_takes_no_bytes_are_refused() {
        fn refused<'de, T: Deserialize<'de>>(bytes: &'de [u8]) {
            let error = take::<T>(bytes).err().unwrap();
            let problem = problem(&error);
            assert_eq!(
                problem,
                "it claims more than 1048576 elements for which it has no bytes"
            );
        }
        #[derive(Serialize, Deserialize)]
        struct Nothing;
        refused::<Vec<()>>(&COUNTLESS);
        refused::<Vec<[(); 4]>>(&COUNTLESS);
        refused::<std::collections::LinkedList<Nothing>>(&COUNTLESS);
        refused::<std::collections::BTreeMap<(), ()>>(&COUNTLESS);
        // A thousand sequences, each of a little less than a million.
        let mut many = Vec::new();
        write(&vec![(0xfffff_u32, ()); 1000], &mut many).unwrap();
        refused::<Vec<Vec<()>>>(&many);
    }

    #[test]
    fn no_room_is_made_for_elements_that_cannot_follow() {
        // Each level claims as many as were believed of it alone.
        let mut bytes = [2, 0xff, 0xff, 0x3f].repeat(500);
        bytes.extend([0, 7]);
        assert!(take::<Tree>(&bytes).is_err());
    }

    #[test]
    fn a_million_of_what_takes_no_bytes_arrives_and_any_number_of_what_does() {
        let mut bytes = Vec::new();
        let value = (vec![(); MOST_EMPTY], vec![7_u8; 3 * MOST_EMPTY]);
        write(&value, &mut bytes).unwrap();
        let (read, rest) = take::<(Vec<()>, Vec<u8>)>(&bytes).unwrap();
        assert!((read, rest) == (value, &[][..]));
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
