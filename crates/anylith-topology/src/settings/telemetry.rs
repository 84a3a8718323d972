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
    let mend = "write metrics = \"all\", \"counters\" or \"off\"";
    text(
        table,
        reader,
        "metrics",
        mend,
        |reader, text, at| match text.parse() {
            Ok(metrics) => settings.telemetry.metrics = metrics,
            Err(()) => {
                let what = format!("`metrics` of [telemetry] is `{text}`");
                let mend = suggest(text, &Metrics::WORDS, "words", mend);
                reader.report(at, what, mend);
            }
        },
    );
    let mend = "write the share of all traces that are kept, from \"0%\" to \"100%\", such as \"0.1%\"; or \"off\"";
    text(table, reader, "traces", mend, |reader, text, at| {
        let traces = &mut settings.telemetry.traces;
        match (text, quantity::parts_per_million(text)) {
            ("off", _) => *traces = Traces::OFF,
            (_, Some(ppm)) => traces.sampled_ppm = ppm,
            (_, None) => reader.report(at, format!("`traces` of [telemetry] is `{text}`"), mend),
        }
    });
    let mend = "write after how long a call is kept with what belongs to it, such as \"500ms\"";
    text(table, reader, "slow", mend, |reader, text, at| {
        match quantity::duration(text) {
            // Without traces there is nothing slow.
            Some(slow) if settings.telemetry.traces.on => {
                settings.telemetry.traces.slow_ms = slow.as_millis() as u64;
            }
            Some(_) => {}
            None => reader.report(at, format!("`slow` of [telemetry] is `{text}`"), mend),
        }
    });
    let mend = "write what traces may take on the disk, such as \"32MiB\"; \"0B\" keeps none";
    text(
        table,
        reader,
        "traces_size",
        mend,
        |reader, text, at| match quantity::size(text).filter(|size| *size <= MOST_BYTES) {
            Some(size) => settings.collection.traces_bytes = Some(size),
            None => reader.report(
                at,
                format!("`traces_size` of [telemetry] is `{text}`"),
                mend,
            ),
        },
    );
    let mend = "write the address of a collector, such as \"http://127.0.0.1:4318\"";
    text(table, reader, "otlp", mend, |reader, text, at| {
        let host = text
            .strip_prefix("http://")
            .or(text.strip_prefix("https://"));
        match host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')) {
            true => settings.collection.otlp = Some(text.to_owned()),
            false => reader.report(at, format!("`otlp` of [telemetry] is `{text}`"), mend),
        }
    });
}

/// Gives the text at `key` to `take`, if there is one.
fn text(
    table: &Table,
    reader: &mut Reader<'_>,
    key: &str,
    mend: &str,
    take: impl FnOnce(&mut Reader<'_>, &str, &crate::source::At),
) {
    let Some(Entry { item, .. }) = table.get(key) else {
        return;
    };
    let name = format!("`{key}` of [telemetry]");
    if let Some(text) = reader.text(item, &name, mend) {
        take(reader, text, &item.at);
    }
}
