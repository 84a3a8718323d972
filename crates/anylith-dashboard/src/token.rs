//! The secret that tells the owner from everybody else.

use std::fmt::{self, Write as _};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Nobody guesses so many bits.
const BYTES: usize = 32;

/// The secret that tells the owner from everybody else: 64 hexadecimal digits, made anew for each run.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Makes one of what the system has for randomness.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; BYTES];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
        }
        let mut text = String::with_capacity(2 * BYTES);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is it. How long that takes tells nothing of it but its length, which is no secret.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_no_other() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert!(one.is(one.as_str().as_bytes()));
        assert!(!one.is(other.as_str().as_bytes()));
        assert!(!one.is(b""));
        assert!(!one.is(&one.as_str().as_bytes()[1..]));
        assert_eq!(one.as_str().len(), 64);
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::random().unwrap();
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}
