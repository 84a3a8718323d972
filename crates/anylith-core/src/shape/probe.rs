//! The made-up deserialiser: it answers everything, and writes down what was asked.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::trace::{Form, Kind, Parts, Slot, Trace, Variant};

/// Texts that types with rules of their own may take.
const TEXTS: [&str; 16] = [
    "a",
    "1",
    "",
    "USD",
    "en",
    "a@example.com",
    "https://example.com/",
    "127.0.0.1",
    "127.0.0.1:80",
    "00000000-0000-4000-8000-000000000000",
    "2000-01-01T00:00:00Z",
    "2000-01-01",
    "00:00:00",
    "1.0.0",
    "/",
    "ABC-123",
];
const WHOLES: [u8; 8] = [1, 0, 2, 12, 100, 7, 60, 127];
const LENGTHS: [usize; 6] = [0, 16, 4, 8, 12, 32];

/// How many different values there are; a type that refuses that many gets no more.
pub(super) const CANDIDATES: usize = 16;

/// Why there is no value. What it was is in the trace: on its way up an error passes code that is not ours.
#[derive(Debug)]
pub(super) struct Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value can be made up")
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Makes up the value of one node.
pub(super) struct Probe<'a> {
    pub(super) trace: &'a mut Trace,
    pub(super) node: usize,
}

impl Probe<'_> {
    /// It wants to be told what comes next.
    fn asks<T>(self) -> Result<T, Refusal> {
        self.trace.nodes[self.node].asks = true;
        Err(Refusal)
    }

    fn plain(&mut self, kind: &'static str) -> usize {
        self.trace.describe(self.node, || Kind::Plain(kind));
        self.trace.candidate()
    }
}

macro_rules! wholes {
    ($($deserialize:ident $visit:ident $kind:literal),* $(,)?) => {$(
        fn $deserialize<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
            let candidate = self.plain($kind);
            visitor.$visit(WHOLES[candidate % WHOLES.len()].into())
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = Refusal;

    wholes! {
        deserialize_u8 visit_u8 "u8",
        deserialize_u16 visit_u16 "u16",
        deserialize_u32 visit_u32 "u32",
        deserialize_u64 visit_u64 "u64",
        deserialize_u128 visit_u128 "u128",
        deserialize_i16 visit_i16 "i16",
        deserialize_i32 visit_i32 "i32",
        deserialize_i64 visit_i64 "i64",
        deserialize_i128 visit_i128 "i128",
        deserialize_f32 visit_f32 "f32",
        deserialize_f64 visit_f64 "f64",
        deserialize_char visit_char "char",
    }

    fn deserialize_i8<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let candidate = self.plain("i8");
        visitor.visit_i8(WHOLES[candidate % WHOLES.len()].cast_signed())
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let candidate = self.plain("bool");
        visitor.visit_bool(candidate % 2 == 1)
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let candidate = self.plain("str");
        visitor.visit_str(TEXTS[candidate % TEXTS.len()])
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let candidate = self.plain("str");
        visitor.visit_string(TEXTS[candidate % TEXTS.len()].to_owned())
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let candidate = self.plain("bytes");
        visitor.visit_bytes(&[0; 32][..LENGTHS[candidate % LENGTHS.len()]])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let candidate = self.plain("bytes");
        visitor.visit_byte_buf(vec![0; LENGTHS[candidate % LENGTHS.len()]])
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.plain("()");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::Tuple(name, Parts::unnamed(0)));
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::Tuple(name, Parts::unnamed(1)));
        let inner = self.trace.part(
            self.node,
            Slot {
                variant: 0,
                field: 0,
            },
            "",
        );
        self.trace
            .run(inner, |probe| visitor.visit_newtype_struct(probe))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::Option(Parts::unnamed(1)));
        if !self.trace.wants_content(self.node) {
            return visitor.visit_none();
        }
        // serde does not say what the option is of, but its name does.
        let name = std::any::type_name::<V::Value>();
        let inner = name.strip_prefix("core::option::Option<");
        let inner = inner.and_then(|name| name.strip_suffix('>')).unwrap_or("");
        let inner = self.trace.part(
            self.node,
            Slot {
                variant: 0,
                field: 0,
            },
            inner,
        );
        self.trace.run(inner, |probe| visitor.visit_some(probe))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::List(Parts::unnamed(1)));
        let count = usize::from(self.trace.wants_content(self.node));
        visitor.visit_seq(Given::first(count, self, 0))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::Map(Parts::unnamed(2)));
        let count = 2 * usize::from(self.trace.wants_content(self.node));
        visitor.visit_map(Given::first(count, self, 0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple_struct("", len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::Tuple(name, Parts::unnamed(len)));
        visitor.visit_seq(Given::first(len, self, 0))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.trace
            .describe(self.node, || Kind::Struct(name, Parts::named(fields)));
        visit_fields(self, 0, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let Self { trace, node } = self;
        trace.describe(node, || {
            Kind::Enum(
                name,
                variants.iter().map(|name| Variant::new(name)).collect(),
            )
        });
        let variant = trace.pick(node).ok_or(Refusal)?;
        visitor.visit_enum(Picked {
            probe: Probe { trace, node },
            variant,
        })
    }

    // No compact encoding can answer these: the type would have to be on the wire.

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        self.asks()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        self.asks()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        self.asks()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Gives a struct its fields: in their order, as an encoding does, or by name where that shows more.
fn visit_fields<'de, V: Visitor<'de>>(
    probe: Probe<'_>,
    variant: usize,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, Refusal> {
    let parts = probe.trace.parts(probe.node, variant);
    if parts.by_name && parts.names.len() == fields.len() {
        let order = probe.trace.hopeless_last(&parts);
        visitor.visit_map(Named(Given::ordered(order, probe, variant), parts.names))
    } else {
        visitor.visit_seq(Given::first(fields.len(), probe, variant))
    }
}

/// The parts of a node, one after the other.
struct Given<'a> {
    probe: Probe<'a>,
    variant: usize,
    /// Which part comes when; their own order if it is empty.
    order: Vec<usize>,
    count: usize,
    next: usize,
}

impl<'a> Given<'a> {
    /// The first `count` parts.
    fn first(count: usize, probe: Probe<'a>, variant: usize) -> Self {
        Self {
            probe,
            variant,
            order: Vec::new(),
            count,
            next: 0,
        }
    }

    fn ordered(order: Vec<usize>, probe: Probe<'a>, variant: usize) -> Self {
        Self {
            probe,
            variant,
            count: order.len(),
            order,
            next: 0,
        }
    }

    /// The part that is next.
    fn place(&self) -> Option<usize> {
        let place = self.order.get(self.next).copied().unwrap_or(self.next);
        (self.next < self.count).then_some(place)
    }

    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        let Some(field) = self.place() else {
            return Ok(None);
        };
        self.next += 1;
        let Probe { trace, node } = &mut self.probe;
        let slot = Slot {
            variant: self.variant,
            field,
        };
        let part = trace.part(*node, slot, std::any::type_name::<S::Value>());
        trace.run(part, |probe| seed.deserialize(probe)).map(Some)
    }
}

impl<'de> SeqAccess<'de> for Given<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

impl<'de> MapAccess<'de> for Given<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.next(seed)?.ok_or(Refusal)
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.count - self.next) / 2)
    }
}

/// The fields of a struct, by name.
struct Named<'a>(Given<'a>, &'static [&'static str]);

impl<'de> MapAccess<'de> for Named<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        let Self(given, names) = self;
        let name = given.place().and_then(|place| names.get(place));
        name.map(|name| seed.deserialize((*name).into_deserializer()))
            .transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.0.next(seed)?.ok_or(Refusal)
    }
}

/// The variant that an enum gets this time.
struct Picked<'a> {
    probe: Probe<'a>,
    variant: usize,
}

impl Picked<'_> {
    fn describe(&mut self, form: Form, parts: Parts) {
        let Probe { trace, node } = &mut self.probe;
        trace.describe_variant(*node, self.variant, form, parts);
    }
}

impl<'de> EnumAccess<'de> for Picked<'_> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refusal> {
        let index = u32::try_from(self.variant).map_err(|_| Refusal)?;
        let value = seed.deserialize(IntoDeserializer::<Refusal>::into_deserializer(index))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Picked<'_> {
    type Error = Refusal;

    fn unit_variant(mut self) -> Result<(), Refusal> {
        self.describe(Form::Unit, Parts::unnamed(0));
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, Refusal> {
        self.describe(Form::Newtype, Parts::unnamed(1));
        Given::first(1, self.probe, self.variant)
            .next(seed)?
            .ok_or(Refusal)
    }

    fn tuple_variant<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.describe(Form::Tuple, Parts::unnamed(len));
        visitor.visit_seq(Given::first(len, self.probe, self.variant))
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.describe(Form::Struct, Parts::named(fields));
        visit_fields(self.probe, self.variant, fields, visitor)
    }
}
