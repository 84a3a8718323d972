//! Finds everything that is wrong with a component's config, where serde stops at the first mistake.
//!
//! A value that does not fit is taken out, and the rest is read again; where the type cannot do without it, something
//! that fits stands in for it. What is then said of such a place is not the user's mistake, and is not reported.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use serde_path_to_error::Segment;

use crate::config::ConfigProblem;

/// How often one config is read. A type that nothing can satisfy has to end somewhere.
const MOST_READS: usize = 1000;

/// How many mistakes of one component are worth telling at once.
const MOST_PROBLEMS: usize = 50;

/// Everything that keeps `config` from being read as a `T`; empty if nothing does. A section that is missing reads
/// like an empty one.
pub fn config_problems<T: DeserializeOwned>(config: &Value) -> Vec<ConfigProblem> {
    let read = |value: &Value| {
        serde_path_to_error::deserialize::<_, T>(value)
            .map(drop)
            .map_err(|error| {
                let path: Vec<String> = error.path().iter().map_while(step).collect();
                Mistake::new(path, error.into_inner().to_string(), value)
            })
    };
    let value = match config {
        Value::Null => Value::Object(Map::new()),
        given => given.clone(),
    };
    Survey {
        value,
        read: &read,
        reads: 0,
        repaired: Vec::new(),
        choices: Vec::new(),
    }
    .problems()
}

fn step(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// Keys and indices, from the outside inwards.
type Path = Vec<String>;

/// The first thing that serde does not like.
struct Mistake {
    /// The value that is wrong, or the one in which a key is missing.
    at: Path,
    message: String,
    /// The key that is missing in it.
    missing: Option<String>,
}

impl Mistake {
    fn new(mut at: Path, message: String, value: &Value) -> Self {
        let quoted = |start: &str| {
            let rest = message.strip_prefix(start)?;
            rest.split('`').next().map(str::to_owned)
        };
        // The path of an unknown key does not end with it everywhere.
        if let Some(key) = quoted("unknown field `")
            && find(value, &at).is_some_and(|found| found.get(&key).is_some())
        {
            at.push(key);
        }
        Self {
            missing: quoted("missing field `"),
            at,
            message,
        }
    }

    /// The place that has to change.
    fn place(&self) -> Path {
        self.at.iter().chain(&self.missing).cloned().collect()
    }
}

struct Survey<'a> {
    /// The config, repaired as far as it was read.
    value: Value,
    read: &'a dyn Fn(&Value) -> Result<(), Mistake>,
    reads: usize,
    /// Every place that is no longer as the user wrote it, as the user counts.
    repaired: Vec<Path>,
    /// Texts that can stand somewhere.
    choices: Vec<String>,
}

impl Survey<'_> {
    fn problems(mut self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        while problems.len() < MOST_PROBLEMS {
            let Some(mistake) = self.next() else { break };
            let place = mistake.place();
            let written = self.as_written(&place);
            if !self.is_ours(&written) {
                problems.push(ConfigProblem {
                    key: self.as_written(&mistake.at).join("."),
                    message: mistake.message.clone(),
                });
            }
            if !self.repair(place) {
                break;
            }
        }
        problems
    }

    /// The next mistake, if there is one and its search has not taken too long.
    fn next(&mut self) -> Option<Mistake> {
        self.reads += 1;
        if self.reads > MOST_READS {
            return None;
        }
        let mistake = (self.read)(&self.value).err()?;
        if mistake.message.starts_with("unknown variant") {
            let names = mistake.message.split('`').skip(3).step_by(2);
            self.choices.extend(names.map(str::to_owned));
        }
        Some(mistake)
    }

    /// Whether what is wrong at `place` comes of a repair: there, around it, or in what stands in for it.
    fn is_ours(&self, place: &Path) -> bool {
        let repaired = |ours: &Path| place.starts_with(ours) || ours.starts_with(place);
        self.repaired.iter().any(repaired)
    }

    /// Changes `place`, or what it is in, so that reading gets further; returns whether it could.
    fn repair(&mut self, mut place: Path) -> bool {
        while !place.is_empty() {
            let written = self.as_written(&place);
            if take(&mut self.value, &place).is_some() || self.stand_in(&place) {
                self.repaired.push(written);
                return true;
            }
            place.pop();
        }
        false
    }

    /// Puts the first value to `place`, where there is none, that reading gets past.
    fn stand_in(&mut self, place: &Path) -> bool {
        let mut likely = vec![
            json!(null),
            json!({}),
            json!(0),
            json!(""),
            json!(false),
            json!([]),
            json!(1),
            json!("a"),
            json!("1s"),
            json!("127.0.0.1:1"),
            json!("127.0.0.1"),
            json!("http://localhost/"),
        ];
        likely.reverse();
        // What serde says while these are tried may tell of texts that fit.
        while let Some(candidate) = likely
            .pop()
            .or_else(|| self.choices.pop().map(Value::String))
        {
            let is_table = candidate.is_object();
            if !put(&mut self.value, place, candidate) {
                return false;
            }
            let Some(next) = self.next() else { return true };
            let next = next.place();
            // A table that lacks something is one at least, and can be filled.
            if !next.starts_with(place) || (is_table && next.len() > place.len()) {
                return true;
            }
            take(&mut self.value, place);
        }
        false
    }

    /// `place` as the user counts, who does not know which items of lists were taken out.
    fn as_written(&self, place: &[String]) -> Path {
        let mut written = Path::new();
        for (depth, step) in place.iter().enumerate() {
            let is_list = find(&self.value, &place[..depth]).is_some_and(Value::is_array);
            let mut step = step.clone();
            if let (true, Ok(mut index)) = (is_list, step.parse::<usize>()) {
                let gone = |ours: &&Path| ours.len() == depth + 1 && ours.starts_with(&written);
                let mut gone: Vec<usize> = self
                    .repaired
                    .iter()
                    .filter(gone)
                    .filter_map(|ours| ours[depth].parse().ok())
                    .collect();
                gone.sort_unstable();
                for earlier in gone {
                    index += usize::from(earlier <= index);
                }
                step = index.to_string();
            }
            written.push(step);
        }
        written
    }
}

fn find<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

fn find_mut<'v>(value: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(step),
    })
}

/// Takes the value at `path` out of what it is in.
fn take(value: &mut Value, path: &[String]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    match find_mut(value, parents)? {
        Value::Object(table) => table.remove(last),
        Value::Array(items) => {
            let index = last.parse().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

/// Adds a value to a table; returns whether there is such a table.
fn put(value: &mut Value, path: &[String], new: Value) -> bool {
    let place = path
        .split_last()
        .and_then(|(last, parents)| Some((last, find_mut(value, parents)?)));
    if let Some((last, Value::Object(table))) = place {
        table.insert(last.clone(), new);
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Shelf {
        address: SocketAddr,
        mode: Mode,
        #[serde(default)]
        sizes: Vec<u8>,
        #[serde(default)]
        limits: Option<Limits>,
        url: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
        Safe,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, try_from = "Range")]
    #[expect(dead_code, reason = "only read")]
    struct Limits(Range);

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Range {
        least: u8,
        most: u8,
    }

    impl TryFrom<Range> for Limits {
        type Error = &'static str;

        fn try_from(range: Range) -> Result<Self, Self::Error> {
            match range.least <= range.most {
                true => Ok(Self(range)),
                false => Err("`least` is more than `most`"),
            }
        }
    }

    fn found(config: &Value) -> Vec<(String, String)> {
        let problems = config_problems::<Shelf>(config);
        let short = |message: String| message.split(", expected").next().unwrap().to_owned();
        problems
            .into_iter()
            .map(|it| (it.key, short(it.message)))
            .collect()
    }

    fn pair(key: &str, message: &str) -> (String, String) {
        (key.to_owned(), message.to_owned())
    }

    #[test]
    fn a_config_that_fits_has_no_problems() {
        let good = json!({"address": "127.0.0.1:1", "mode": "fast", "url": ""});
        assert_eq!(found(&good), []);
    }

    #[test]
    fn all_mistakes_are_found_each_once() {
        let config = json!({
            "adress": 1,
            "address": "nowhere",
            "mode": "fsat",
            "sizes": [1, 300, "two", 3, -4],
            "limits": {"least": "one", "most": 2, "mst": 3},
        });
        let mut found = found(&config);
        found.sort();
        assert_eq!(
            found,
            [
                pair("", "missing field `url`"),
                pair("address", "invalid socket address syntax"),
                pair("adress", "unknown field `adress`"),
                pair("limits.least", "invalid type: string \"one\""),
                pair("limits.mst", "unknown field `mst`"),
                pair("mode", "unknown variant `fsat`"),
                pair("sizes.1", "invalid value: integer `300`"),
                pair("sizes.2", "invalid type: string \"two\""),
                pair("sizes.4", "invalid value: integer `-4`"),
            ]
        );
    }

    #[test]
    fn every_key_that_is_missing_is_named() {
        let missing =
            ["address", "mode", "url"].map(|key| pair("", &format!("missing field `{key}`")));
        assert_eq!(found(&Value::Null), missing);
    }

    #[test]
    fn what_follows_from_a_repair_is_not_reported() {
        // Without its `most` nobody can say whether the range is right.
        let config = json!({"address": "127.0.0.1:1", "mode": "fast", "url": "", "limits": {"least": 3, "most": "?"}});
        assert_eq!(
            found(&config),
            [pair("limits.most", "invalid type: string \"?\"")]
        );
    }

    #[test]
    fn a_check_of_the_types_own_is_reported_where_it_is() {
        let config = json!({"address": "127.0.0.1:1", "mode": "fast", "url": 1, "limits": {"least": 3, "most": 2}});
        let wrong = [
            pair("limits", "`least` is more than `most`"),
            pair("url", "invalid type: integer `1`"),
        ];
        assert_eq!(found(&config), wrong);
    }

    #[test]
    fn a_type_that_nothing_satisfies_comes_to_an_end() {
        #[derive(Debug, Deserialize)]
        #[serde(try_from = "u8")]
        struct Never;
        impl TryFrom<u8> for Never {
            type Error = &'static str;
            fn try_from(_: u8) -> Result<Self, Self::Error> {
                Err("never")
            }
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Holder {
            never: Never,
            other: u8,
        }
        let problems = config_problems::<Holder>(&json!({"never": 1, "other": "x"}));
        let keys: Vec<&str> = problems.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["never", "other"]);
    }
}
