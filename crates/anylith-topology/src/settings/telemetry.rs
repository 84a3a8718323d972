//! `[telemetry]`.

use anylith_core::{Metrics, Traces};

use super::{Settings, reader::Reader};
use crate::{
    nearest::suggest,
    quantity,
    tree::{Entry, Table},
};

/// What is told of the application, besides what its replicas must know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Collection {
    /// What traces may take on the disk, in bytes; `None` if the file does not say.
    pub traces_bytes: Option<u64>,
    /// The address of a collector that is sent all of it, with `http://` or `https://`.
    pub otlp: Option<String>,
}

/// So much is kept at most.
const MOST_BYTES: u64 = 1 << 40;

const KEYS: [&str; 5] = ["metrics", "traces", "slow", "traces_size", "otlp"];

pub(super) fn read(table: &Table, reader: &mut Reader<'_>, settings: &mut Settings) {
    reader.only(table, &KEYS, "[telemetry]");
    let Settings {
        telemetry,
        collection,
        ..
    } = settings;
    let mend = "write metrics = \"all\", \"counters\" or \"off\"";
    let metrics = text(table, reader, "metrics", (&Metrics::WORDS, mend), |text| {
        text.parse().ok()
    });
    telemetry.metrics = metrics.unwrap_or(telemetry.metrics);
    let mend = "write the share of all traces that are kept, from \"0%\" to \"100%\", such as \"0.1%\"; or \"off\"";
    let before = telemetry.traces;
    let traces = text(table, reader, "traces", (&[], mend), |text| match text {
        "off" => Some(Traces::OFF),
        _ => quantity::parts_per_million(text).map(|sampled_ppm| Traces {
            sampled_ppm,
            ..before
        }),
    });
    telemetry.traces = traces.unwrap_or(before);
    let mend = "write after how long a call is kept with what belongs to it, such as \"500ms\"";
    let slow = text(table, reader, "slow", (&[], mend), quantity::duration);
    // Without traces there is nothing slow.
    if let Some(slow) = slow
        && telemetry.traces.on
    {
        telemetry.traces.slow_ms = slow.as_millis() as u64;
    }
    let mend = "write what traces may take on the disk, such as \"32MiB\"; \"0B\" keeps none";
    collection.traces_bytes = text(table, reader, "traces_size", (&[], mend), |text| {
        quantity::size(text).filter(|size| *size <= MOST_BYTES)
    });
    let mend = "write the address of a collector, such as \"http://127.0.0.1:4318\"";
    collection.otlp = text(table, reader, "otlp", (&[], mend), |text| {
        let host = text
            .strip_prefix("http://")
            .or(text.strip_prefix("https://"))?;
        (!host.is_empty() && !host.starts_with('/')).then(|| text.to_owned())
    });
}

/// What `parse` makes of the text at `key`, if there is one. What it makes nothing of is reported: it is to be one of some
/// `words`, or as `mend` says where there are none.
fn text<T>(
    table: &Table,
    reader: &mut Reader<'_>,
    key: &str,
    (words, mend): (&[&str], &str),
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let Entry { item, .. } = table.get(key)?;
    let name = format!("`{key}` of [telemetry]");
    let text = reader.text(item, &name, mend)?;
    let parsed = parse(text);
    if parsed.is_none() {
        let mend = suggest(text, words, "words", mend);
        reader.report(&item.at, format!("{name} is `{text}`"), mend);
    }
    parsed
}
