//! What a component says against its config, said again for the one who wrote `anylith.toml`.
//!
//! The component's config type is Rust's, and only the application knows it. So the application tries to read the
//! config and answers in the words of serde; here they become a place in the file and a mend.

use crate::{
    Problem, Settings,
    config::{Config, join},
    nearest::suggest,
};

/// What serde says, taken apart.
enum Said<'a> {
    /// A key that the type does not have, and those that it has.
    UnknownKey {
        key: &'a str,
        known: Vec<&'a str>,
    },
    /// A text that is not one of those that can stand there.
    UnknownChoice {
        found: &'a str,
        known: Vec<&'a str>,
    },
    Missing {
        key: &'a str,
    },
    /// A value of another type.
    WrongType {
        found: &'a str,
        expected: &'a str,
    },
    /// A value of the right type that cannot be taken.
    WrongValue {
        found: &'a str,
        expected: &'a str,
    },
    /// The component takes no config at all.
    NoConfig,
    /// Words of the component's own.
    Other,
}

impl<'a> Said<'a> {
    fn parse(message: &'a str) -> Self {
        let after = |start: &str| message.strip_prefix(start);
        if let Some((key, known)) = after("unknown field `").and_then(named) {
            Self::UnknownKey { key, known }
        } else if let Some((found, known)) = after("unknown variant `").and_then(named) {
            Self::UnknownChoice { found, known }
        } else if let Some(key) = after("missing field `").and_then(|rest| rest.split('`').next()) {
            Self::Missing { key }
        } else if let Some((found, expected)) = after("invalid type: ").and_then(compared) {
            Self::WrongType { found, expected }
        } else if let Some((found, expected)) = after("invalid value: ").and_then(compared) {
            Self::WrongValue { found, expected }
        } else if message.contains("has no config: give it a `#[config]` field") {
            Self::NoConfig
        } else {
            Self::Other
        }
    }
}

/// ``x`, expected one of `a`, `b`` → `x`, and `a` and `b`.
fn named(rest: &str) -> Option<(&str, Vec<&str>)> {
    let end = rest
        .find("`, expected ")
        .or_else(|| rest.rfind("`, there are no "))?;
    let known = rest[end + 1..].split('`').skip(1).step_by(2).collect();
    Some((&rest[..end], known))
}

/// `string "x", expected u8` → `string "x"` and `u8`.
fn compared(rest: &str) -> Option<(&str, &str)> {
    rest.rsplit_once(", expected ")
}

impl Settings {
    /// What the application says against the config of one of its components, as a problem at the line of
    /// `key`: a path with dots within that config, which may be empty. Secrets are taken out of `message`.
    ///
    /// Returns `None` if the reason is a secret that was not found, since that is said already.
    pub fn complaint(&self, component: &str, key: &str, message: &str) -> Option<Problem> {
        let said = Said::parse(message);
        let config = self.components.get(component);
        if config.is_some_and(|config| is_about_lost(config, key, &said)) {
            return None;
        }
        let complaint = Complaint {
            component,
            config,
            key,
        };
        let (what, mend) = complaint.text(&said, message);
        let end = self.source.end();
        let at = config.map_or(&end, |config| config.place(key));
        Some(self.source.problem(at, what, mend))
    }

    /// Where to look in the config of `component` when its start failed with `message`: the line of a value that
    /// the message speaks of, else the component's section; `None` if it has none.
    pub fn suspect(&self, component: &str, message: &str) -> Option<String> {
        let config = self.components.get(component)?;
        Some(match config.mentioned(message) {
            Some((key, at)) => format!(
                "`{key}` of [components.{component}] at {}",
                self.source.label(at)
            ),
            None => format!(
                "[components.{component}] at {}",
                self.source.label(&config.at)
            ),
        })
    }
}

/// Whether what is said of `key` comes of a secret that was not found.
fn is_about_lost(config: &Config, key: &str, said: &Said<'_>) -> bool {
    let about = match said {
        Said::Missing { key: field } => join(key, field),
        _ => key.to_owned(),
    };
    let within = |inner: &str, outer: &str| {
        outer.is_empty()
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let lost = config.references().iter().filter(|it| it.lost);
    lost.map(|it| it.key.as_str()).any(|lost| {
        let is_of_whole = !matches!(said, Said::Missing { .. } | Said::UnknownKey { .. });
        within(&about, lost) || (is_of_whole && within(lost, &about))
    })
}

struct Complaint<'a> {
    component: &'a str,
    config: Option<&'a Config>,
    key: &'a str,
}

impl Complaint<'_> {
    /// What is wrong, and its mend.
    fn text(&self, said: &Said<'_>, message: &str) -> (String, String) {
        let component = self.component;
        match said {
            Said::UnknownKey { key, known } => {
                let parent = self.key.strip_suffix(key).unwrap_or(self.key);
                let place = self.named(parent.trim_end_matches('.'));
                let mend = suggest(key, known, "keys", "take it out: there are no keys");
                (format!("unknown key `{key}` in {place}"), mend)
            }
            Said::UnknownChoice { found, known } => {
                let mend = suggest(found, known, "values", "take it out");
                let what = match self.is_secret() {
                    true => format!("{} is not one of its values", self.this()),
                    false => format!(
                        "{} is `{}`, which is not one of its values",
                        self.this(),
                        self.redacted(found)
                    ),
                };
                (what, mend)
            }
            Said::Missing { key } => (format!("{} has no `{key}`", self.this()), self.add(key)),
            Said::WrongType { found, expected } => {
                let wanted = self.wanted(expected);
                let what = format!("{} is {}, not {wanted}", self.this(), self.found(found));
                (what, self.write(&wanted))
            }
            Said::WrongValue { found, expected } => {
                let wanted = self.wanted(expected);
                let what = format!("{} cannot be {}", self.this(), self.found(found));
                (what, self.write(&wanted))
            }
            Said::NoConfig => (
                format!("{component} takes no config"),
                "take the section out, or give the component's struct a `#[config]` field"
                    .to_owned(),
            ),
            Said::Other => {
                let message = self.redacted(message);
                let mend = match self.config {
                    Some(_) => format!("write a value that {component} can take"),
                    None => format!("add a section [components.{component}]"),
                };
                (format!("{} is wrong: {message}", self.this()), mend)
            }
        }
    }

    /// What is complained about.
    fn this(&self) -> String {
        self.named(self.key)
    }

    fn named(&self, key: &str) -> String {
        match key {
            "" => format!("the config of {}", self.component),
            key => format!("`{key}` in the config of {}", self.component),
        }
    }

    /// How to add `key` to what is complained about.
    fn add(&self, key: &str) -> String {
        let component = self.component;
        match (self.config, self.key) {
            (None, _) => format!("add a section [components.{component}] with `{key} = …`"),
            (Some(_), "") => format!("add `{key} = …` to [components.{component}]"),
            (Some(_), table) => format!("add `{key} = …` to `{table}`"),
        }
    }

    /// To write `wanted` instead; and how, where it cannot come from where it comes from now.
    fn write(&self, wanted: &str) -> String {
        if self.is_secret() && !wanted.contains("text") {
            let path = self.key.replace('.', "__");
            return format!(
                "a secret is text; write {wanted}, or set ANYLITH__components__{}__{path}",
                self.component
            );
        }
        let mistyped = self
            .config
            .and_then(|config| config.mistyped_reference(self.key))
            .filter(|(wrong, meant)| wrong != meant);
        if let Some((wrong, meant)) = mistyped {
            return format!("did you mean `{meant}` in the place of `{wrong}`?");
        }
        if self
            .config
            .is_some_and(|config| config.is_almost_reference(self.key))
        {
            return format!(
                "write {wanted}, or a secret, in braces: {{ env = \"NAME\" }} or {{ file = \"path\" }}"
            );
        }
        format!("write {wanted}")
    }

    /// What was found, unless it is a secret.
    fn found(&self, found: &str) -> String {
        let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
        match kind {
            "string" if self.is_secret() => "a text from outside of the file".to_owned(),
            "string" => format!("the text {}", self.redacted(value)),
            "integer" | "character" => format!("the number {value}"),
            "floating" => format!("the number {}", value.trim_start_matches("point ")),
            "boolean" => value.to_owned(),
            "null" | "unit" | "Option" => "nothing".to_owned(),
            "map" => "a table".to_owned(),
            "sequence" => "a list".to_owned(),
            _ => found.to_owned(),
        }
    }

    /// What can stand there.
    fn wanted(&self, expected: &str) -> String {
        type_in_words(expected).unwrap_or_else(|| self.redacted(expected))
    }

    fn redacted(&self, text: &str) -> String {
        self.config
            .map_or_else(|| text.to_owned(), |config| config.redact(text))
    }

    fn is_secret(&self) -> bool {
        let references = self.config.map(Config::references).unwrap_or_default();
        references.iter().any(|it| it.key == self.key)
    }
}

/// What Rust and serde call a type, in words for those who write TOML; `None` if it is none of theirs.
fn type_in_words(expected: &str) -> Option<String> {
    let (least, number) = match expected.strip_prefix("a nonzero ") {
        Some(number) => (1, number),
        None => (0, expected),
    };
    let from = |least: i64, most: i64| format!("a whole number from {least} to {most}");
    Some(match number {
        "u8" => from(least, u8::MAX.into()),
        "u16" => from(least, u16::MAX.into()),
        "u32" => from(least, u32::MAX.into()),
        "u64" | "u128" | "usize" => format!("a whole number, at least {least}"),
        "i8" => from(i8::MIN.into(), i8::MAX.into()),
        "i16" => from(i16::MIN.into(), i16::MAX.into()),
        "i32" | "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" | "a borrowed string" | "path string" | "a path string" => {
            "a text in quotes".to_owned()
        }
        "a character" => "a text of one letter".to_owned(),
        "a sequence" => "a list: `[…]`".to_owned(),
        "a map" => "a table: `{ key = … }`".to_owned(),
        "string or map" => "a text in quotes or a table".to_owned(),
        "struct Duration" => "a table: `{ secs = 1, nanos = 0 }`".to_owned(),
        other => {
            let name = other.strip_prefix("struct ")?;
            format!("a table with the keys of `{name}`")
        }
    })
}
