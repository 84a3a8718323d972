//! An error with its causes, for people to read.

use std::error::Error;

/// An error with all its causes, in one line: `the config cannot be read: permission denied`.
///
/// A cause that the error before it has told of already is not told again.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let told = next.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        Layer {
            text: texts[0],
            source: (texts.len() > 1).then(|| Box::new(layers(&texts[1..]))),
        }
    }

    #[test]
    fn every_cause_is_told_once() {
        let error = layers(&["no start: disk full", "disk full", "quota of 1 GiB"]);
        assert_eq!(with_causes(&error), "no start: disk full: quota of 1 GiB");
        assert_eq!(with_causes(&layers(&["alone"])), "alone");
    }
}
