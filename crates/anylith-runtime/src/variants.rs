//! What an error is called: the names of its variants, and none of its values, which may be secrets.

use std::fmt::{self, Display};

use serde::{
    Serialize, Serializer,
    ser::{self, Impossible},
};

/// The names of the variants of `error`, from the outermost inwards: `Payment(Declined)`; `None` if it has none.
pub(crate) fn variants(error: &impl Serialize) -> Option<String> {
    let mut name = String::new();
    // What has no further name ends the search.
    let _ = error.serialize(Names(&mut name));
    (!name.is_empty()).then_some(name)
}

/// Takes the names of what is serialised into it.
struct Names<'n>(&'n mut String);

/// What is serialised has no name, or no further one.
#[derive(Debug)]
struct Nameless;

impl Display for Nameless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has no name")
    }
}

impl std::error::Error for Nameless {}

impl ser::Error for Nameless {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

macro_rules! nameless {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)+) => {$(
        fn $method(self $(, _: $argument)*) -> Result<$ok, Nameless> {
            Err(Nameless)
        }
    )+};
}

impl Serializer for Names<'_> {
    type Ok = ();
    type Error = Nameless;
    type SerializeSeq = Impossible<(), Nameless>;
    type SerializeTuple = Impossible<(), Nameless>;
    type SerializeTupleStruct = Impossible<(), Nameless>;
    type SerializeTupleVariant = Impossible<(), Nameless>;
    type SerializeMap = Impossible<(), Nameless>;
    type SerializeStruct = Impossible<(), Nameless>;
    type SerializeStructVariant = Impossible<(), Nameless>;

    nameless! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_map(Option<usize>) -> Self::SerializeMap;
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Nameless> {
        value.serialize(self)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Nameless> {
        self.0.push_str(name);
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Nameless> {
        self.0.push_str(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Nameless> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Nameless> {
        self.0.push_str(variant);
        let end = self.0.len();
        self.0.push('(');
        let inner = self.0.len();
        let _ = value.serialize(Names(self.0));
        if self.0.len() == inner {
            self.0.truncate(end);
        } else {
            self.0.push(')');
        }
        Ok(())
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Nameless> {
        self.0.push_str(name);
        Err(Nameless)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Nameless> {
        self.0.push_str(variant);
        Err(Nameless)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, Nameless> {
        self.0.push_str(name);
        Err(Nameless)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Nameless> {
        self.0.push_str(variant);
        Err(Nameless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum OrderError {
        Empty,
        Payment(PaymentError),
        Card(String),
        Stock { product: String, left: u32 },
        Two(u32, u32),
    }

    #[derive(Serialize)]
    enum PaymentError {
        Declined,
        Card { number: String },
    }

    #[test]
    fn an_error_is_called_by_its_variants_and_its_values_stay_secret() {
        let number = || "4111 1111".to_owned();
        for (error, name) in [
            (OrderError::Empty, "Empty"),
            (
                OrderError::Payment(PaymentError::Declined),
                "Payment(Declined)",
            ),
            (
                OrderError::Payment(PaymentError::Card { number: number() }),
                "Payment(Card)",
            ),
            (OrderError::Card(number()), "Card"),
            (
                OrderError::Stock {
                    product: number(),
                    left: 1,
                },
                "Stock",
            ),
            (OrderError::Two(1, 2), "Two"),
        ] {
            assert_eq!(variants(&error).as_deref(), Some(name));
        }
        assert_eq!(variants(&number()), None);
        assert_eq!(variants(&7), None);
    }
}
