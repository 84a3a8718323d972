//! Why somebody did not prove who he is, in words that say what to do.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

/// The peer did not prove that it belongs to the application.
#[derive(Debug)]
pub(crate) struct Unproven {
    reason: String,
    /// It is the peer that says so, of this end.
    is_of_us: bool,
}

impl Unproven {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        let (reason, is_of_us) = (reason.into(), false);
        Self { reason, is_of_us }
    }

    /// Whether this is why `error` came.
    pub(crate) fn is(error: &io::Error) -> bool {
        Self::of(error).is_some()
    }

    /// Whether `error` came because the peer does not take what this end has shown.
    pub(crate) fn is_of_us(error: &io::Error) -> bool {
        Self::of(error).is_some_and(|unproven| unproven.is_of_us)
    }

    fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unproven {}

impl From<Unproven> for io::Error {
    fn from(unproven: Unproven) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, unproven)
    }
}

impl From<&Error> for Unproven {
    fn from(error: &Error) -> Self {
        let reason = match error {
            Error::InvalidCertificate(wrong) => of_certificate(wrong),
            Error::NoCertificatesPresented => "it has no certificate".to_owned(),
            Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
            Error::PeerIncompatible(_) => "it does not speak TLS 1.3 as replicas do".to_owned(),
            Error::AlertReceived(alert) => of_alert(*alert),
            other => format!("the handshake failed: {other}"),
        };
        Self {
            reason,
            is_of_us: matches!(error, Error::AlertReceived(_)),
        }
    }
}

fn of_certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "its certificate was valid until {}, and by the clock of this host it is {}: it was not renewed in time, or \
             one of the clocks is wrong",
            Date(*not_after),
            Date(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "its certificate is valid from {} on, and by the clock of this host it is {}: one of the clocks is wrong",
            Date(*not_before),
            Date(*time)
        ),
        CertificateError::UnknownIssuer => {
            "its certificate comes from an authority that is not believed here".to_owned()
        }
        CertificateError::BadSignature => "its certificate has a forged signature".to_owned(),
        other => format!("its certificate is refused: {other}"),
    }
}

/// What the other end says of us. More than the alert it does not tell.
fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateExpired => {
            "it refuses the certificate of this replica for its dates: it was not renewed in time, or one of the clocks \
             is wrong"
                .to_owned()
        }
        AlertDescription::UnknownCA => {
            "it does not believe the authority that the certificate of this replica comes from".to_owned()
        }
        other => format!("it refuses this replica ({other:?})"),
    }
}

/// A moment as people write it: `2026-11-22 22:59:48 UTC`.
pub(super) struct Date(pub(super) UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Howard Hinnant's `civil_from_days`: years begin in March here, so that the leap day is the last of one.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_is_written_as_in_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_388_388, "2026-11-22 22:59:48 UTC"),
            (4_102_444_799, "2099-12-31 23:59:59 UTC"),
        ] {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert_eq!(Date(time).to_string(), date);
        }
    }
}
