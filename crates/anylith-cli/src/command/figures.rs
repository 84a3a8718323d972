//! Numbers and names in columns, as the live tables show them.

/// What names may take at least, whatever the room.
const FEWEST: usize = 12;

/// What names may take where the other columns take `others` of all.
pub(super) fn width(head: &str, names: &[String], columns: usize, others: usize) -> usize {
    let longest = names.iter().map(|name| name.chars().count());
    let longest = longest.fold(head.chars().count(), usize::max);
    longest.min(columns.saturating_sub(others)).max(FEWEST)
}

/// `text` in exactly so many columns.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    format!("{cut:<columns$}")
}

/// `text` in so many columns at most.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}

/// Calls in a second.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        few if few < 1000.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

/// A length in microseconds, in three figures or so.
pub(super) fn length(micros: f64) -> String {
    let (value, unit) = match micros {
        short if short < 1.0 => (short * 1e3, "ns"),
        short if short < 1e3 => (short, "µs"),
        long if long < 1e6 => (long / 1e3, "ms"),
        long => (long / 1e6, "s"),
    };
    match value {
        few if few < 10.0 => format!("{few:.1} {unit}"),
        many => format!("{many:.0} {unit}"),
    }
}

/// Bytes, in the unit that fits.
pub(super) fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    match mebibytes {
        few if few < 10_000.0 => format!("{few:.1} MiB"),
        many => format!("{:.1} GiB", many / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_unit_that_fits() {
        let lengths = [0.052, 9.81, 91.4, 1234.0, 1_500_000.0].map(length);
        assert_eq!(lengths, ["52 ns", "9.8 µs", "91 µs", "1.2 ms", "1.5 s"]);
    }
}
