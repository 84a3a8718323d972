//! Spans as OTLP has them.
//!
//! The service of a span is the component in whose code it happened, whatever process that is in: so the same services are seen
//! in every topology. The application is their namespace, and the replica their instance.

use std::collections::BTreeMap;

use anylith_core::Name;
use anylith_telemetry::{Kept, Span, SpanKind};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::KeyValue,
    trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span, status},
};
use prost::Message as _;

use super::{number, resource, scope, text};

/// The bytes of a request that tells of `spans`.
pub(super) fn request(app: &Name, spans: &[Span]) -> Vec<u8> {
    let mut services: BTreeMap<(&str, &str), Vec<OtlpSpan>> = BTreeMap::new();
    for span in spans {
        let replica = span.replica.as_ref().map_or("", |name| name.as_str());
        let of = (service(span), replica);
        services.entry(of).or_default().push(otlp(span));
    }
    let services = services.into_iter().map(|((component, replica), spans)| {
        let resource = resource([
            ("service.name", component),
            ("service.namespace", app.as_str()),
            ("service.instance.id", replica),
        ]);
        ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    });
    let request = ExportTraceServiceRequest {
        resource_spans: services.collect(),
    };
    request.encode_to_vec()
}

/// The component in whose code it happened.
fn service(span: &Span) -> &str {
    match (span.kind, &span.caller) {
        (SpanKind::Client, Some(caller)) => caller.as_str(),
        _ => span.component.as_str(),
    }
}

fn otlp(span: &Span) -> OtlpSpan {
    let is_sampled = span.kept == Kept::Sampled;
    let status = Status {
        message: span.error.clone().unwrap_or_default(),
        code: match span.has_failed() {
            true => status::StatusCode::Error.into(),
            false => status::StatusCode::Unset.into(),
        },
    };
    let name = match span.kind {
        // A path has too many values to be a part of a name.
        SpanKind::Request => span.method.clone(),
        SpanKind::Client | SpanKind::Server | SpanKind::Local => span.name(),
    };
    let parent = span
        .parent
        .map(|parent| parent.get().to_be_bytes().to_vec());
    OtlpSpan {
        trace_id: span.trace.get().to_be_bytes().to_vec(),
        span_id: span.id.get().to_be_bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        flags: u32::from(is_sampled),
        name,
        kind: match span.kind {
            SpanKind::Request | SpanKind::Server => span::SpanKind::Server.into(),
            SpanKind::Client => span::SpanKind::Client.into(),
            SpanKind::Local => span::SpanKind::Internal.into(),
        },
        start_time_unix_nano: span.begun_ns,
        end_time_unix_nano: span.ended_ns(),
        attributes: attributes(span),
        status: Some(status),
        ..OtlpSpan::default()
    }
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let mut all = Vec::new();
    match span.kind {
        SpanKind::Request => {
            all.push(text("http.request.method", &span.method));
            all.extend(span.path.as_ref().map(|path| text("url.path", path)));
            let status = span.status.map(i64::from);
            all.extend(status.map(|status| number("http.response.status_code", status)));
            if let Some(status) = span.status.filter(|_| span.has_failed()) {
                all.push(text("error.type", &status.to_string()));
            }
            return all;
        }
        SpanKind::Client => all.push(text("anylith.way", "remote")),
        SpanKind::Local => all.push(text("anylith.way", "local")),
        SpanKind::Server => {}
    }
    all.push(text("rpc.system.name", "anylith"));
    // Those of before the conventions were stable, which many tools still look for.
    all.push(text("rpc.system", "anylith"));
    all.push(text("rpc.service", span.component.as_str()));
    all.push(text("rpc.method", &span.name()));
    let caller = span.caller.as_ref();
    all.extend(caller.map(|caller| text("anylith.caller", caller.as_str())));
    all.push(text("anylith.callee", span.component.as_str()));
    all.push(text("anylith.outcome", span.outcome.word()));
    if span.has_failed() {
        all.push(text("error.type", span.outcome.word()));
    }
    if span.repeats > 0 {
        all.push(number("anylith.repeats", span.repeats.into()));
    }
    all
}
