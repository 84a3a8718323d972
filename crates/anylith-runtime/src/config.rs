//! A component's own section of `anylith.toml`, as the type that the component asks for.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What is wrong with a component's config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}{message}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
pub struct ConfigProblem {
    /// Where, as a path of keys within the section; empty if it is the section as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

/// Reads a config. A section that is missing reads like an empty one, so that defaults apply.
///
/// # Errors
///
/// The first value that does not fit, by its path.
pub fn read_config<T: DeserializeOwned>(config: &Value) -> Result<T, ConfigProblem> {
    let empty = Value::Object(serde_json::Map::new());
    let config = if config.is_null() { &empty } else { config };
    serde_path_to_error::deserialize(config).map_err(|error| {
        let path = error.path().to_string();
        ConfigProblem {
            key: if path == "." { String::new() } else { path },
            message: error.into_inner().to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        limits: Limits,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Limits {
        most: u8,
    }

    #[test]
    fn a_missing_section_has_the_defaults() {
        assert_eq!(read_config::<Sample>(&Value::Null).unwrap().limits.most, 0);
    }

    #[test]
    fn a_problem_says_where_it_is() {
        let problem = read_config::<Sample>(&json!({"limits": {"most": 300}})).unwrap_err();
        assert_eq!(problem.key, "limits.most");
    }
}
