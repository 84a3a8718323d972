//! Which of its components a serving end takes calls for, right now.
//!
//! The greeting says what a replica is made of, and holds for as long as the connection does. The offer says what of
//! it is ready: a frame of the kind [`Kind::Offer`](crate::frame::Kind::Offer) after the greeting, and another
//! whenever that changes. Its body names each component on offer, growing: its index (16 bits), and how it is (8).

use crate::frame::{Kind, ProtocolError};

/// How many bytes of an offer are about one component.
const ENTRY_BYTES: usize = 3;
/// How a component is, in an offer.
const WELL: u8 = 0;
const ILL: u8 = 1;

/// Whether a component takes calls. The greater one is to be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It takes none: it has not been ready yet, or drains.
    #[default]
    Closed,
    /// It takes them, and is not well: it is to be called only where nobody is who is well.
    Ill,
    /// It takes them.
    Well,
}

/// What a serving end offers, by the index of the component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offer(Vec<Readiness>);

impl Offer {
    /// Of `offered`, in the order of the greeting.
    pub(crate) fn new(offered: Vec<Readiness>) -> Self {
        Self(offered)
    }

    pub(crate) fn of(&self, component: u16) -> Readiness {
        self.0.get(component as usize).copied().unwrap_or_default()
    }

    /// The body of the frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let entry = |(index, readiness): (usize, &Readiness)| {
            let how = match readiness {
                Readiness::Closed => return None,
                Readiness::Ill => ILL,
                Readiness::Well => WELL,
            };
            let [low, high] = (index as u16).to_le_bytes();
            Some([low, high, how])
        };
        let entries = self.0.iter().enumerate().filter_map(entry);
        entries.flatten().collect()
    }

    /// Reads the body of a frame from a peer that has so many `components`.
    pub(crate) fn decode(body: &[u8], components: usize) -> Result<Self, ProtocolError> {
        let malformed = ProtocolError::Malformed { kind: Kind::Offer };
        let (entries, []) = body.as_chunks::<ENTRY_BYTES>() else {
            return Err(malformed);
        };
        let mut offered = vec![Readiness::Closed; components];
        let mut least = 0;
        for &[low, high, how] in entries {
            let index = usize::from(u16::from_le_bytes([low, high]));
            if index < least || index >= components {
                return Err(malformed);
            }
            offered[index] = match how {
                WELL => Readiness::Well,
                ILL => Readiness::Ill,
                _ => return Err(malformed),
            };
            least = index + 1;
        }
        Ok(Self(offered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read_as_it_was_written() {
        use Readiness::{Closed, Ill, Well};
        for offered in [vec![], vec![Closed], vec![Well, Closed, Ill, Well]] {
            let offer = Offer::new(offered.clone());
            assert_eq!(Offer::decode(&offer.encode(), offered.len()), Ok(offer));
        }
    }

    #[test]
    fn an_offer_of_what_was_never_greeted_is_refused() {
        for bad in [
            &[1, 0, WELL][..],
            &[0],
            &[0, 0],
            &[0, 0, WELL, 0, 0, WELL],
            &[0, 0, WELL, 0],
            &[0, 0, ILL + 1],
        ] {
            assert!(Offer::decode(bad, 1).is_err(), "{bad:?} was taken");
        }
        let out_of_order = [1, 0, WELL, 0, 0, WELL];
        assert!(Offer::decode(&out_of_order, 2).is_err());
    }
}
