//! `[telemetry]`.

use anylith_core::Metrics;

use super::{Settings, reader::Reader};
use crate::{
    nearest::suggest,
    tree::{Entry, Table},
};

pub(super) fn read(table: &Table, reader: &mut Reader<'_>, settings: &mut Settings) {
    reader.only(table, &["metrics"], "[telemetry]");
    let Some(Entry { item, .. }) = table.get("metrics") else {
        return;
    };
    let mend = "write metrics = \"all\", \"counters\" or \"off\"";
    let Some(text) = reader.text(item, "`metrics` of [telemetry]", mend) else {
        return;
    };
    match text.parse() {
        Ok(metrics) => settings.telemetry.metrics = metrics,
        Err(()) => {
            let what = format!("`metrics` of [telemetry] is `{text}`");
            let mend = suggest(text, &Metrics::WORDS, "words", mend);
            reader.report(&item.at, what, mend);
        }
    }
}
