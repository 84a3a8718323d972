//! Where a collector is, and what it is sent along: of `anylith.toml`, and of the variables that OpenTelemetry has for it.

use std::{fmt, fs, time::Duration};

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// How long a collector may take for one request, where nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is sent what was counted, where nobody says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);

/// Where a collector is. Its `Debug` leaves out what is sent along, which may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpTarget {
    /// Where spans are sent.
    pub(super) traces: String,
    /// Where numbers are sent.
    pub(super) metrics: String,
    /// What is sent along with every request.
    pub(super) headers: Vec<(String, String)>,
    /// How long it may take for one.
    pub(super) timeout: Duration,
    /// How often it is sent numbers.
    pub(super) interval: Duration,
    /// Whom it may be certified by, in PEM, if not by those whom everybody trusts.
    pub(super) roots: Option<Vec<u8>>,
}

/// A variable has a value that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the variable {variable} {problem}")]
pub struct WrongTarget {
    variable: &'static str,
    problem: String,
}

impl OtlpTarget {
    /// The collector at `base`, unless a variable names another one; `None` where there is none. `variable` reads a variable.
    ///
    /// # Errors
    ///
    /// A variable whose value is of no use.
    pub fn find(
        base: Option<&str>,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, WrongTarget> {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let url = |name: &'static str| {
            let Some(url) = variable(name) else {
                return Ok(None);
            };
            match url.starts_with("http://") || url.starts_with("https://") {
                true => Ok(Some(url)),
                false => Err(wrong(name, "is no address with http:// or https://")),
            }
        };
        let base = match url("OTEL_EXPORTER_OTLP_ENDPOINT")? {
            Some(base) => Some(base),
            None => base.map(str::to_owned),
        };
        let below = |path: &str| {
            let base = base.as_ref()?;
            Some(format!("{}/v1/{path}", base.trim_end_matches('/')))
        };
        let traces = url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")?.or_else(|| below("traces"));
        let metrics = url("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")?.or_else(|| below("metrics"));
        let (Some(traces), Some(metrics)) = (traces, metrics) else {
            return Ok(None);
        };
        const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
        if variable(PROTOCOL).is_some_and(|protocol| protocol != "http/protobuf") {
            return Err(wrong(
                PROTOCOL,
                "must be `http/protobuf`, which is what is spoken",
            ));
        }
        let length = |name: &'static str, usual| {
            let Some(text) = variable(name) else {
                return Ok(usual);
            };
            let ms = text
                .trim()
                .parse()
                .ok()
                .filter(|ms| (1..=86_400_000).contains(ms));
            let ms = ms.ok_or_else(|| wrong(name, "is no number of milliseconds"))?;
            Ok(Duration::from_millis(ms))
        };
        const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
        const ROOTS: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
        let roots = variable(ROOTS).map(|path| {
            let read = fs::read(&path);
            read.map_err(|error| {
                wrong(ROOTS, &format!("names a file that cannot be read: {error}"))
            })
        });
        Ok(Some(Self {
            traces,
            metrics,
            headers: headers(&variable(HEADERS).unwrap_or_default())
                .ok_or_else(|| wrong(HEADERS, "is not written as `name=value,name=value`"))?,
            timeout: length("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT)?,
            interval: length("OTEL_METRIC_EXPORT_INTERVAL", INTERVAL)?,
            roots: roots.transpose()?,
        }))
    }

    /// What makes the requests. It follows nobody elsewhere, since passwords are sent along.
    pub(super) fn agent(&self) -> ureq::Agent {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &self.roots {
            let items = parse_pem(pem).filter_map(Result::ok);
            let roots = items.filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            });
            let roots: Vec<_> = roots.collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&roots));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(self.timeout))
            .tls_config(tls.build())
            .user_agent(concat!("anylith/", env!("CARGO_PKG_VERSION")));
        config.build().into()
    }
}

fn wrong(variable: &'static str, problem: &str) -> WrongTarget {
    WrongTarget {
        variable,
        problem: problem.to_owned(),
    }
}

/// Reads `name=value,name=value`, the values with percent encoding; `None` if it is something else.
fn headers(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), decoded(value.trim())?);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_fit = !name.is_empty()
            && name.bytes().all(is_name)
            && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        is_fit.then(|| (name.to_owned(), value))
    });
    pairs.collect()
}

/// Takes percent encoding back.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => (digit(rest.next())? * 16 + digit(rest.next())?) as u8,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Debug for OtlpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpTarget")
            .field("traces", &self.traces)
            .field("metrics", &self.metrics)
            .field("timeout", &self.timeout)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn find(
        base: Option<&str>,
        variables: &[(&'static str, &str)],
    ) -> Result<Option<OtlpTarget>, WrongTarget> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        OtlpTarget::find(base, |name| Some((*variables.get(name)?).to_owned()))
    }

    #[test]
    fn a_variable_wins_over_the_file_and_one_for_a_signal_over_both() {
        assert_eq!(find(None, &[]), Ok(None));
        let file = Some("http://here:4318/");
        let target = find(file, &[]).unwrap().unwrap();
        assert_eq!(target.traces, "http://here:4318/v1/traces");
        assert_eq!(target.metrics, "http://here:4318/v1/metrics");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://there"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://spans/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%3D, x=y"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ];
        let target = find(file, &variables).unwrap().unwrap();
        assert_eq!(target.traces, "http://spans/in");
        assert_eq!(target.metrics, "https://there/v1/metrics");
        let headers = [("api-key", "a b="), ("x", "y")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(target.headers, headers);
        assert_eq!(target.timeout, Duration::from_millis(1500));
        assert_eq!(target.interval, Duration::from_secs(5));
        assert!(
            !format!("{target:?}").contains("a b"),
            "it may be a password"
        );
        let disabled = [("OTEL_SDK_DISABLED", "true")];
        assert_eq!(find(file, &disabled), Ok(None));
    }

    #[test]
    fn what_is_of_no_use_is_said() {
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "here:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0ac: d"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/at/all"),
        ] {
            let error = find(Some("http://here"), &[(variable, value)]).unwrap_err();
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
}
