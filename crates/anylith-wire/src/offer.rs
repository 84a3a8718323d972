//! Which of its components a serving end takes calls for, right now.
//!
//! The greeting says what a replica is made of, and holds for as long as the connection does. The offer says what of
//! it is ready: a frame of the kind [`Kind::Offer`](crate::frame::Kind::Offer) after the greeting, and another
//! whenever that changes. Its body is the index of each component on offer (16 bits each, growing).

use crate::frame::{Kind, ProtocolError};

/// What a serving end offers, by the index of the component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offer(Vec<bool>);

impl Offer {
    /// Of `offered`, in the order of the greeting.
    pub(crate) fn new(offered: Vec<bool>) -> Self {
        Self(offered)
    }

    pub(crate) fn contains(&self, component: u16) -> bool {
        self.0.get(component as usize).copied().unwrap_or(false)
    }

    /// The body of the frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let offered = self.0.iter().enumerate().filter(|(_, offered)| **offered);
        offered
            .flat_map(|(index, _)| (index as u16).to_le_bytes())
            .collect()
    }

    /// Reads the body of a frame from a peer that has so many `components`.
    pub(crate) fn decode(body: &[u8], components: usize) -> Result<Self, ProtocolError> {
        let malformed = ProtocolError::Malformed { kind: Kind::Offer };
        let (indices, []) = body.as_chunks::<2>() else {
            return Err(malformed);
        };
        let mut offered = vec![false; components];
        let mut least = 0;
        for index in indices {
            let index = usize::from(u16::from_le_bytes(*index));
            if index < least || index >= components {
                return Err(malformed);
            }
            offered[index] = true;
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
        for offered in [vec![], vec![false], vec![true, false, true]] {
            let offer = Offer::new(offered.clone());
            assert_eq!(Offer::decode(&offer.encode(), offered.len()), Ok(offer));
        }
    }

    #[test]
    fn an_offer_of_what_was_never_greeted_is_refused() {
        for bad in [&[1, 0][..], &[0], &[0, 0, 0, 0], &[0, 0, 0]] {
            assert!(Offer::decode(bad, 1).is_err(), "{bad:?} was taken");
        }
        assert!(Offer::decode(&[1, 0, 0, 0], 2).is_err(), "out of order");
    }
}
