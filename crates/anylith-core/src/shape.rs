//! The shape of a type on the wire, found by asking its `Deserialize`.
//!
//! A type is not described by hand or by a macro: it is deserialised from nothing. A made-up deserialiser
//! answers whatever the type asks for with a made-up value and writes down what was asked: `a struct Money of
//! currency_code, units, nanos; the first of them text, …`. As one value of an enum shows one variant, and an
//! empty list shows no items, the type is deserialised again and again until nothing new comes up. That is the
//! idea of *serde-reflection* (<https://github.com/zefchain/serde-reflection>).
//!
//! What is written down is what the encoding depends on, and the names: kinds of primitives, the order and
//! names of fields and variants, the names of structs and enums, what options, lists, maps and tuples hold.
//! Where a type lives does not matter, nor what it is called where serde does not know its name, nor a `Box`.
//!
//! A type may refuse made-up values, as one that holds a valid e-mail address does. It is offered some others
//! ([`probe`]); if none will do, what was asked before it refused is still known, and only what comes after it
//! in a tuple is not. A part of a type that cannot be seen counts by [`std::any::type_name`], without paths;
//! so does a type that asks for *any* value, which no compact encoding can give.
//!
//! The work is bounded, however a type behaves; where the bound is met, names of types stand for the rest.

mod misfit;
mod print;
mod probe;
mod trace;

use serde::de::DeserializeOwned;

use crate::Fingerprint;
pub use misfit::Misfit;
use trace::Trace;

impl Fingerprint {
    /// Adds the shape of `T` on the wire, so that builds in which it differs have different fingerprints.
    ///
    /// `T` is deserialised from made-up values some times over. It never panics unless `T` does.
    #[must_use]
    pub fn with_shape<T: DeserializeOwned>(self) -> Self {
        self.with(&shape_of::<T>().to_string())
    }
}

/// The fingerprint of the shape of `T` alone.
fn shape_of<T: DeserializeOwned>() -> Fingerprint {
    let trace = Trace::of(|_: &T| {});
    print::print(&trace)
}

#[cfg(test)]
mod tests;
