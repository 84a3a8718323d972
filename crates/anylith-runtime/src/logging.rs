//! The log of a process whose application has no subscriber of its own.
//!
//! A replica writes a JSON object a line, which the command puts together with those of the other replicas;
//! a process on its own writes for people. The variable `ANYLITH_LOG`, or else `RUST_LOG`, says what is written:
//! `debug`, `info,my_crate=trace`; `info` if both are unset.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env, fmt,
    io::IsTerminal as _,
    panic::PanicHookInfo,
};

use serde_json::{Map, Value, json};
use tracing::{Event, Subscriber, field::Field, field::Visit};
use tracing_subscriber::{
    Layer as _,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
};

use crate::{ambient, guard};

/// Sets a subscriber, unless the application has one.
pub(crate) fn begin(as_replica: bool) {
    if tracing::dispatcher::has_been_set() {
        return;
    }
    let wanted = env::var("ANYLITH_LOG")
        .or_else(|_| env::var("RUST_LOG"))
        .unwrap_or_default();
    let (filter, misread) = match wanted.parse::<Targets>() {
        Ok(filter) if !wanted.trim().is_empty() => (filter, false),
        Ok(_) => (Targets::new().with_default(tracing::Level::INFO), false),
        Err(_) => (Targets::new().with_default(tracing::Level::INFO), true),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    // Losing the race against another subscriber is as good as finding it.
    let _ = if as_replica {
        let lines = lines.event_format(JsonLine).with_filter(filter);
        let set = tracing::subscriber::set_global_default(registry.with(lines));
        if set.is_ok() {
            std::panic::set_hook(Box::new(log_panic));
        }
        set
    } else {
        let colours = std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
        let lines = lines.with_ansi(colours).with_filter(filter);
        tracing::subscriber::set_global_default(registry.with(lines))
    };
    if misread {
        tracing::warn!(target: "anylith", wanted, "cannot read ANYLITH_LOG: write `info,my_crate=debug`");
    }
}

/// Logs a panic where it happens, in the place of Rust's own lines, which a log of JSON lines has no room for. The
/// frame of the component that panicked is still there, so the line has its name.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let said = anylith_rpc::panic::said(panic.payload());
    let at = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let who = if ambient::frame().place.is_outside() {
        "a task panicked"
    } else {
        "the component panicked"
    };
    tracing::error!(target: "anylith", at, backtrace, "{who}: {said}");
    guard::panic_is_logged();
}

/// One event as a JSON object on a line of its own, with the component and the trace that it was written for.
///
/// It is how a replica writes its log where the application has no subscriber of its own, and how the command reads it best. An
/// application that has one may write so as well:
///
/// ```
/// # use tracing_subscriber::{layer::SubscriberExt as _, Registry};
/// # let others = Registry::default();
/// let lines = tracing_subscriber::fmt::layer().event_format(anylith_runtime::JsonLine);
/// let subscriber = others.with(lines);
/// # drop(subscriber);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut ts = String::new();
        SystemTime.format_time(&mut Writer::new(&mut ts))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut line = json!({
            "ts": ts,
            "level": metadata.level().as_str(),
            "target": metadata.target(),
            "msg": fields.message,
        });
        let component = ambient::frame().place.component;
        if !component.is_empty() {
            line["component"] = Value::from(component);
        }
        if let Some(trace) = ambient::trace() {
            line["trace"] = Value::from(trace.to_string());
        }
        if !fields.others.is_empty() {
            line["fields"] = Value::Object(fields.others);
        }
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
        } else {
            self.others.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::from(format!("{value:?}")));
    }
}
