//! Where an image is: `registry.example.com/shop/boutique:1.4.0`.

use std::{fmt, str::FromStr};

/// A reference to an image, as a container runtime takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    text: String,
    tag: Option<String>,
    has_digest: bool,
}

impl ImageReference {
    /// Its tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether it may mean another image tomorrow, so that nodes have to ask each time.
    pub(crate) fn is_moving(&self) -> bool {
        !self.has_digest && self.tag.as_deref().is_none_or(|tag| tag == "latest")
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The longest name without tag and digest, in letters.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

impl FromStr for ImageReference {
    type Err = String;

    /// Reads `[HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if hex.len() != 64 || !hex.bytes().all(is_hex) {
                return Err(format!("`{digest}` is no digest: sha256: and 64 digits"));
            }
        }
        // A colon before the last slash belongs to a port.
        let name_ends = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_ends..].split_once(':') {
            Some((last, tag)) => (&rest[..name_ends + last.len()], Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(format!("`{tag}` is no tag"));
        }
        if name.is_empty() {
            return Err("it has no name".to_owned());
        }
        if name.len() > LONGEST_NAME {
            return Err(format!("its name is longer than {LONGEST_NAME} letters"));
        }
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if is_host_like(first) => (Some(first), path),
            _ => (None, name),
        };
        if let Some(host) = host.filter(|host| !is_host(host)) {
            return Err(format!("`{host}` is no registry"));
        }
        if let Some(part) = path.split('/').find(|part| !is_part(part)) {
            return Err(match part.chars().any(char::is_uppercase) {
                true => format!("`{part}` has capitals"),
                false => format!("`{part}` is no part of a name"),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            tag: tag.map(str::to_owned),
            has_digest: digest.is_some(),
        })
    }
}

fn is_tag(tag: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=LONGEST_TAG).contains(&tag.len()) && tag.bytes().all(inner) && !tag.starts_with(['.', '-'])
}

/// Whether the first part of a name is meant to be a registry: that of Docker is meant where there is none.
fn is_host_like(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    let is_number = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    name.bytes().all(inner) && name.split('.').all(is_part) && port.is_none_or(is_number)
}

/// Small letters and digits, which `.`, `_`, `__` or hyphens part.
fn is_part(part: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators =
        part.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    part.bytes().next().is_some_and(is_letter)
        && part.bytes().last().is_some_and(is_letter)
        && separators.into_iter().all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_pulls_is_taken() {
        let digest = format!("shop@sha256:{}", "0a".repeat(32));
        for (good, tag) in [
            ("boutique", None),
            ("boutique:1.4.0", Some("1.4.0")),
            ("shop/boutique:v1", Some("v1")),
            ("localhost:5000/boutique:x", Some("x")),
            ("registry.example.com/a/b-c/d__e.f:1", Some("1")),
            (digest.as_str(), None),
        ] {
            let read: ImageReference = good.parse().unwrap();
            assert_eq!((read.to_string().as_str(), read.tag()), (good, tag));
        }
        assert!("boutique".parse::<ImageReference>().unwrap().is_moving());
        assert!(!digest.parse::<ImageReference>().unwrap().is_moving());
    }

    #[test]
    fn what_none_pulls_is_refused_in_words() {
        for (bad, why) in [
            ("", "no name"),
            (":1", "no name"),
            ("Boutique:1", "capitals"),
            ("boutique:", "no tag"),
            ("boutique:-1", "no tag"),
            ("a b:1", "no part"),
            ("a//b", "no part"),
            ("a/-b", "no part"),
            ("a___b", "no part"),
            ("localhost:99999/a", "no registry"),
            ("exa_mple.com/a:1", "no registry"),
            ("a@sha256:12", "no digest"),
            ("a:1\n", "no tag"),
            (&"x".repeat(256), "longer"),
        ] {
            let error = bad.parse::<ImageReference>().unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
