//! Arguments and answers of calls, which are read before anybody looks at them.

use std::{collections::BTreeMap, fmt::Debug};

use serde::{Deserialize, Serialize};

#[path = "../../crates/anylith-runtime/src/encoding.rs"]
mod encoding;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf(i64),
    Twig(Box<Tree>),
    Boughs(Vec<Tree>),
    Named {
        name: String,
        below: Option<Box<Tree>>,
    },
    Fork(Box<Tree>, Box<Tree>),
    Nothing,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(u128);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order<'a> {
    user: &'a str,
    photo: &'a [u8],
    lines: Vec<(u16, char)>,
    price: Result<i8, bool>,
    weight: u32,
    number: Wrapped,
}

/// Any bytes are read as postcard reads them, or refused; what is read is written, and read as the same.
///
/// The input: which type, then its value.
pub fn values(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => read::<Tree>(data),
        1 => read::<Order<'_>>(data),
        2 => read::<Vec<Option<Vec<u64>>>>(data),
        3 => read::<BTreeMap<String, BTreeMap<u8, i32>>>(data),
        4 => read::<Vec<()>>(data),
        _ => read::<(Vec<Vec<()>>, BTreeMap<(), ()>, Vec<[(); 3]>)>(data),
    }
}

fn read<'de, T: Serialize + Deserialize<'de> + Debug + PartialEq>(data: &'de [u8]) {
    let read = encoding::take::<T>(data);
    if let Err(error) = &read {
        assert!(!encoding::problem(error).is_empty());
    }
    // Nested too deep, or more elements than bytes: postcard would go on for ever, or overflow the stack.
    if let Err(postcard::Error::DeserializeBadCrc | postcard::Error::DeserializeBadEncoding) = read
    {
        return;
    }
    let plain = postcard::take_from_bytes::<T>(data);
    match read {
        Ok((value, rest)) => {
            let mut again = Vec::new();
            encoding::write(&value, &mut again).expect("it was read");
            assert!(
                again.len() <= data.len() - rest.len(),
                "not the shortest way"
            );
            assert_eq!(plain.expect("it can be read"), (value, rest));
        }
        Err(_) => assert!(plain.is_err(), "it can be read"),
    }
}
