//! Lengths of time, sizes and shares as they are written: `100ms`, `64MiB`, `20%`.

use std::time::Duration;

/// Reads a length of time: a whole number and one of `ms`, `s`, `m`, `h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads a size in bytes: a whole number and one of `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// Reads a share in percent: a whole number and `%`.
pub(crate) fn percent(text: &str) -> Option<u32> {
    let (number, unit) = split(text)?;
    (unit == "%").then(|| u32::try_from(number).ok())?
}

/// Reads a share in percent, with up to four digits after a point, as parts of a million.
pub(crate) fn parts_per_million(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 4 {
        return None;
    }
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100)?;
    let part: u32 = format!("{part:0<4}").parse().ok()?;
    Some(whole * 10_000 + part).filter(|ppm| *ppm <= 1_000_000)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit() {
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(duration("2 s"), Some(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Some(Duration::from_secs(60)));
        for bad in [
            "",
            "100",
            "ms",
            "-1s",
            "1.5s",
            "1 fortnight",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1 kB"), Some(1000));
        for bad in ["64", "MiB", "64 parsecs", "99999999999999GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_small_share_has_digits_after_a_point() {
        for (text, ppm) in [
            ("1%", 10_000),
            ("0%", 0),
            ("100 %", 1_000_000),
            ("0.1%", 1_000),
            ("12.3456%", 123_456),
        ] {
            assert_eq!(parts_per_million(text), Some(ppm), "{text}");
        }
        for bad in [
            "1",
            "%",
            ".1%",
            "1.%",
            "-1%",
            "101%",
            "100.1%",
            "0.00001%",
            "1e1%",
            "99999999999%",
        ] {
            assert_eq!(parts_per_million(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_share_is_in_percent() {
        assert_eq!(percent("20%"), Some(20));
        assert_eq!(percent("5 %"), Some(5));
        for bad in ["20", "%", "-1%", "0.2", "1.5%", "99999999999%"] {
            assert_eq!(percent(bad), None, "{bad}");
        }
    }
}
