//! Months, which is all that the shop needs to know of the date.

use std::fmt;

use time::OffsetDateTime;

/// A month of a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct YearMonth {
    /// The year, such as 2026.
    pub year: i32,
    /// 1 is January.
    pub month: i32,
}

impl YearMonth {
    /// This month, in UTC.
    pub fn now() -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            year: now.year(),
            month: i32::from(u8::from(now.month())),
        }
    }

    /// Whether this month is later than `other`. The months need not exist: the thirteenth of a year is
    /// the first of the next.
    pub fn is_after(self, other: Self) -> bool {
        let count = |Self { year, month }: Self| i64::from(year) * 12 + i64::from(month);
        count(self) > count(other)
    }
}

impl fmt::Display for YearMonth {
    /// Writes `1/2030`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.month, self.year)
    }
}
