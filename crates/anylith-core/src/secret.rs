//! Values of a config that are not in it.

use serde::{Deserialize, Serialize};

/// A value of a component's config that is not written there, but found where the component runs, when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    /// Where in the config it belongs, as a JSON pointer: `/database/password`.
    pub pointer: String,
    /// Where it is found.
    #[serde(flatten)]
    pub source: SecretSource,
}

/// Where a secret is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// In this environment variable.
    Env(String),
    /// In this file.
    File(String),
}
