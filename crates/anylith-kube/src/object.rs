//! What all objects of an application have: a name, a namespace, labels.

use std::collections::BTreeMap;

use anylith_topology::{ClusterGroup, is_label};
use serde_json::{Value, json};

use crate::render::Request;

const NAME: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";
const VERSION: &str = "app.kubernetes.io/version";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A namespace, if `text` is the name of one.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn namespace(text: &str) -> Result<String, String> {
    match is_label(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` cannot be a namespace")),
    }
}

impl Request<'_> {
    /// The labels by which the pods of `group` are known. They never change: a selector cannot.
    pub(crate) fn selector(&self, group: &ClusterGroup) -> Value {
        json!({ NAME: self.cluster.app, COMPONENT: group.label })
    }

    /// All labels of what belongs to `group`, or to the application as a whole.
    pub(crate) fn labels(&self, group: Option<&ClusterGroup>) -> Value {
        let mut labels =
            BTreeMap::from([(NAME, self.cluster.app.as_str()), (MANAGED_BY, "anylith")]);
        labels.extend(group.map(|group| (COMPONENT, group.label.as_str())));
        labels.extend(self.version().map(|version| (VERSION, version)));
        json!(labels)
    }

    /// The tag of the image, where a label can have it.
    fn version(&self) -> Option<&str> {
        let tag = self.image.tag()?;
        let ends =
            |end: fn(&str) -> Option<char>| end(tag).is_some_and(|it| it.is_ascii_alphanumeric());
        let fits =
            tag.len() <= 63 && ends(|tag| tag.chars().next()) && ends(|tag| tag.chars().last());
        fits.then_some(tag)
    }

    /// The metadata of an object called `name`.
    pub(crate) fn metadata(&self, name: &str, group: Option<&ClusterGroup>) -> Value {
        let mut metadata = json!({ "name": name, "labels": self.labels(group) });
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = json!(namespace);
        }
        metadata
    }
}

/// A length of time in whole seconds, the next one where it is none.
pub(crate) fn seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A number of bytes as quantities are written.
pub(crate) fn bytes(bytes: u64) -> String {
    [("Gi", 30), ("Mi", 20), ("Ki", 10)]
        .into_iter()
        .find(|(_, shift)| bytes.is_multiple_of(1 << shift) && bytes > 0)
        .map_or_else(
            || bytes.to_string(),
            |(unit, shift)| format!("{}{unit}", bytes >> shift),
        )
}
