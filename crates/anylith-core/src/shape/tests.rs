//! Which types have equal shapes, and which have not.
#![allow(dead_code, reason = "the types are only traced")]

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::shape_of;
use crate::Fingerprint;

#[derive(Deserialize)]
struct Money {
    currency: String,
    units: i64,
    nanos: i32,
}

macro_rules! other {
    ($($item:item)*) => {{
        #[allow(non_camel_case_types, reason = "names stand for others")]
        mod elsewhere { use super::*; $(#[derive(Deserialize)] $item)* pub(super) fn shape() -> Fingerprint { shape_of::<Money>() } }
        elsewhere::shape()
    }};
}

fn same<A: DeserializeOwned, B: DeserializeOwned>() -> bool {
    shape_of::<A>() == shape_of::<B>()
}

#[test]
fn a_type_has_the_same_shape_wherever_it_lives() {
    let moved = other! { struct Money { currency: String, units: i64, nanos: i32 } };
    assert_eq!(moved, shape_of::<Money>());
}

#[test]
fn every_change_of_a_struct_shows() {
    let shapes = [
        shape_of::<Money>(),
        other! { struct Money { currency: String, units: i64, nanos: i32, more: u8 } },
        other! { struct Money { currency: String, units: i64, nanoz: i32 } },
        other! { struct Money { currency: String, nanos: i32, units: i64 } },
        other! { struct Money { currency: String, units: i64, nanos: i64 } },
        other! { struct Money { currency: String, units: i64 } },
        other! { struct Money { currency: Option<String>, units: i64, nanos: i32 } },
        other! { struct Money { currency: Vec<String>, units: i64, nanos: i32 } },
        other! { struct Money { currency: char, units: i64, nanos: i32 } },
        other! { struct Money(String, i64, i32); },
        other! { enum Money { A { currency: String, units: i64, nanos: i32 } } },
    ];
    for (index, shape) in shapes.iter().enumerate() {
        assert!(!shapes[..index].contains(shape), "{index}");
    }
}

#[test]
fn every_variant_is_seen_however_deep() {
    #[derive(Deserialize)]
    enum Outer {
        Nothing,
        List(Vec<Option<HashMap<String, Middle>>>),
    }
    #[derive(Deserialize)]
    enum Middle {
        A(u8),
        B { inner: Inner, money: Money },
    }
    #[derive(Deserialize)]
    enum Inner {
        One,
        Two(u8, Money),
        Three,
    }
    let deep = shape_of::<Outer>();
    let changed = {
        #[derive(Deserialize)]
        enum Outer {
            Nothing,
            List(Vec<Option<HashMap<String, Middle>>>),
        }
        #[derive(Deserialize)]
        enum Middle {
            A(u8),
            B { inner: Inner, money: Money },
        }
        #[derive(Deserialize)]
        enum Inner {
            One,
            Two(u8, Money),
            Three(bool),
        }
        shape_of::<Outer>()
    };
    assert_ne!(deep, changed);
    assert!(!same::<Result<u8, Inner>, Result<u8, Middle>>());
}

#[test]
fn recursive_types_come_to_an_end() {
    #[derive(Deserialize)]
    struct Tree {
        children: Vec<Tree>,
        left: Option<Box<Tree>>,
        named: BTreeMap<String, Tree>,
        leaf: Money,
    }
    #[derive(Deserialize)]
    enum Term {
        Add(Box<Term>, Box<Term>),
        Call { of: Box<Term>, with: Vec<Term> },
        Tree(Tree),
        Number(i64),
    }
    #[derive(Deserialize)]
    struct Endless {
        #[allow(clippy::box_collection, reason = "it has to end nowhere")]
        next: Box<Other>,
    }
    #[derive(Deserialize)]
    struct Other {
        back: Arc<Endless>,
    }
    #[derive(Deserialize)]
    enum Never {}
    #[derive(Deserialize)]
    struct Chain(Option<Rc<Chain>>);
    let term = shape_of::<Term>();
    let shapes = [
        term,
        shape_of::<Tree>(),
        shape_of::<Endless>(),
        shape_of::<Never>(),
        shape_of::<Chain>(),
        shape_of::<(Never, Money)>(),
    ];
    for (index, shape) in shapes.iter().enumerate() {
        assert!(!shapes[..index].contains(shape), "{index}");
    }
    let changed = {
        #[derive(Deserialize)]
        struct Tree {
            children: Vec<Tree>,
            left: Option<Box<Tree>>,
            named: BTreeMap<String, Tree>,
            leaf: String,
        }
        #[derive(Deserialize)]
        enum Term {
            Add(Box<Term>, Box<Term>),
            Call { of: Box<Term>, with: Vec<Term> },
            Tree(Tree),
            Number(i64),
        }
        shape_of::<Term>()
    };
    assert_ne!(term, changed);
}

#[test]
fn what_serde_looks_through_does_not_show() {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Wrapped {
        text: String,
    }
    assert!(same::<Box<Money>, Money>());
    assert!(same::<Vec<Arc<Money>>, Vec<Money>>());
    assert!(same::<Cow<'static, str>, String>());
    assert!(same::<Wrapped, String>());
    assert!(same::<(Box<Money>, Money), (Money, Money)>());
    assert!(!same::<(Money, Money), (Money, Money, Money)>());
    assert!(!same::<[u8; 3], [u8; 4]>());
    assert!(same::<Vec<u8>, Box<[u8]>>());
}

/// An address that refuses almost everything.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Email(String);

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('@') {
            Ok(Self(text))
        } else {
            Err("no @")
        }
    }
}

/// A key that refuses everything that anyone can make up.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct License(String);

impl TryFrom<String> for License {
    type Error = &'static str;

    fn try_from(_: String) -> Result<Self, Self::Error> {
        Err("not signed")
    }
}

#[test]
fn a_type_with_rules_gets_a_value_that_it_takes() {
    #[derive(Deserialize)]
    struct User {
        email: Email,
        age: NonZeroU32,
        money: Money,
    }
    let changed = {
        #[derive(Deserialize)]
        struct User {
            email: Email,
            age: NonZeroU32,
            money: String,
        }
        shape_of::<User>()
    };
    assert_ne!(shape_of::<User>(), changed);
}

#[test]
fn what_stands_beside_a_type_that_refuses_everything_is_still_seen() {
    #[derive(Deserialize)]
    struct Host {
        first: u8,
        license: License,
        money: Money,
        licenses: Vec<License>,
        choice: Choice,
    }
    #[derive(Deserialize)]
    enum Choice {
        Paid { license: License, money: Money },
        Free(Money),
    }
    let host = shape_of::<(Vec<Host>, u8)>();
    let money = {
        #[derive(Deserialize)]
        struct Host {
            first: u8,
            license: License,
            money: String,
            licenses: Vec<License>,
            choice: Choice,
        }
        shape_of::<(Vec<Host>, u8)>()
    };
    let paid = {
        #[derive(Deserialize)]
        struct Host {
            first: u8,
            license: License,
            money: Money,
            licenses: Vec<License>,
            choice: Choice,
        }
        #[derive(Deserialize)]
        enum Choice {
            Paid { license: License, money: String },
            Free(Money),
        }
        shape_of::<(Vec<Host>, u8)>()
    };
    assert_ne!(host, money);
    assert_ne!(host, paid);
    assert_ne!(money, paid);
    assert!(
        !same::<(License, Money), (License, String)>(),
        "types after it count by name"
    );
}

#[test]
fn fields_with_their_own_functions_are_told_apart() {
    fn as_text<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        String::deserialize(from).map(|text| text.len() as u8)
    }
    fn as_number<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        u16::deserialize(from).map(|number| number as u8)
    }
    #[derive(Deserialize)]
    struct Pair {
        #[serde(deserialize_with = "as_text")]
        a: u8,
        #[serde(deserialize_with = "as_number")]
        b: u8,
    }
    let both_text = {
        #[derive(Deserialize)]
        struct Pair {
            #[serde(deserialize_with = "as_text")]
            a: u8,
            #[serde(deserialize_with = "as_text")]
            b: u8,
        }
        shape_of::<Pair>()
    };
    assert_ne!(shape_of::<Pair>(), both_text);
}

#[test]
fn generic_types_differ_by_what_they_hold() {
    #[derive(Deserialize)]
    struct Page<'a, T> {
        items: Vec<T>,
        next: Option<Cow<'a, str>>,
        mark: PhantomData<T>,
    }
    assert!(same::<Page<'static, Money>, Page<'static, Box<Money>>>());
    assert!(!same::<Page<'static, Money>, Page<'static, u8>>());
    assert!(!same::<Page<'static, Money>, Page<'static, Option<Money>>>());
}

#[test]
fn types_of_the_standard_library_have_shapes() {
    let shapes = [
        shape_of::<Duration>(),
        shape_of::<IpAddr>(),
        shape_of::<SocketAddr>(),
        shape_of::<std::ops::Range<u8>>(),
        shape_of::<std::path::PathBuf>(),
        shape_of::<std::num::Wrapping<i128>>(),
        shape_of::<std::collections::BTreeSet<char>>(),
        shape_of::<HashMap<u8, [f64; 3]>>(),
        shape_of::<()>(),
        shape_of::<Option<()>>(),
        shape_of::<Option<Option<()>>>(),
        shape_of::<Result<(), String>>(),
        shape_of::<serde_json::Value>(),
    ];
    for (index, shape) in shapes.iter().enumerate() {
        assert!(!shapes[..index].contains(shape), "{index}");
    }
}

#[test]
fn a_wide_and_deep_type_is_done_in_bounded_work() {
    macro_rules! layers {
        ($bottom:ty; $($name:ident)*) => { layers!(@ $bottom; $($name)*) };
        (@ $below:ty; $name:ident $($rest:ident)*) => {
            #[derive(Deserialize)]
            struct $name { a: Box<$below>, b: Vec<$below>, c: Option<Box<$below>>, d: Box<$below> }
            layers!(@ $name; $($rest)*);
        };
        (@ $below:ty;) => { assert_ne!(shape_of::<$below>(), Fingerprint::EMPTY); };
    }
    layers!(Money; L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12 L13 L14 L15 L16);
}

#[test]
fn an_array_that_would_fill_the_memory_is_not_made() {
    struct Huge;
    impl<'de> Deserialize<'de> for Huge {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Huge;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("very much")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut from: A,
                ) -> Result<Huge, A::Error> {
                    while from.next_element::<u8>()?.is_some() {}
                    Ok(Huge)
                }
            }
            from.deserialize_tuple(usize::MAX, Visitor)
        }
    }
    assert_ne!(shape_of::<Huge>(), shape_of::<Vec<u8>>());
}

#[test]
fn the_same_type_always_has_the_same_shape() {
    assert_eq!(
        shape_of::<Result<Vec<Money>, String>>(),
        shape_of::<Result<Vec<Money>, String>>()
    );
    assert_ne!(
        Fingerprint::EMPTY.with_shape::<u8>(),
        Fingerprint::EMPTY.with_shape::<u16>()
    );
}
