//! A request as a span: of the trace that it brings along, or of a new one.

use std::{sync::Arc, time::Instant};

use anylith_core::CallContext;
use anylith_telemetry::{Outcome, SpanKind, What, bounded};
use hyper::{HeaderMap, Method, Request, StatusCode, header::HeaderValue};

use crate::{
    ambient, context,
    trails::{OpenSpan, Step, Trails},
};

/// A request, as its trace has it.
pub(super) struct Traced {
    /// What goes on with the calls that it causes.
    pub(super) context: CallContext,
    pub(super) span: RequestSpan,
}

/// The span of a request; none where there are no traces.
pub(super) struct RequestSpan(Option<OpenSpan<Arc<Trails>>>);

impl Traced {
    /// One that has come now.
    pub(super) fn of<B>(request: &Request<B>, trails: Option<&Arc<Trails>>) -> Self {
        let mut context = carried_by(request.headers());
        let span = trails.and_then(|trails| {
            let step = Step::arriving(trails, &mut context.trace);
            if !trails.are_collected() {
                return None;
            }
            let what = What {
                kind: SpanKind::Request,
                caller: "",
                component: ambient::frame().place.component,
                method: known(request.method()),
            };
            let mut span = OpenSpan::begin(Arc::clone(trails), step, what, Instant::now());
            span.detail().path = Some(bounded(request.uri().path()));
            Some(span)
        });
        Self {
            context,
            span: RequestSpan(span),
        }
    }
}

impl RequestSpan {
    /// It was answered with this status.
    pub(super) fn end(self, status: StatusCode) {
        let Some(mut span) = self.0 else { return };
        span.detail().status = Some(status.as_u16());
        let outcome = match status.is_server_error() {
            true => Outcome::Executed,
            false => Outcome::Answered,
        };
        span.end(outcome, Instant::now(), None);
    }
}

/// What a request brings along of the trace that it is a part of.
fn carried_by(headers: &HeaderMap) -> CallContext {
    fn text(value: &HeaderValue) -> Option<&str> {
        value.to_str().ok()
    }
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next().and_then(text);
    // Of several none is right.
    let parent = parent.filter(|_| parents.next().is_none());
    let state = headers.get_all("tracestate").iter();
    let state: Option<Vec<&str>> = state.map(text).collect();
    let state = state.unwrap_or_default().join(",");
    context::of_headers(parent, Some(&state))
}

/// The name of a method, as traces have it: those that nobody knows have one between them.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use anylith_core::TraceContext;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn carried(headers: &[(&'static str, &str)]) -> Option<TraceContext> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        carried_by(&map).trace
    }

    #[test]
    fn a_request_brings_its_trace_along_with_what_vendors_have_to_say() {
        let trace = carried(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]);
        let trace = trace.unwrap();
        assert_eq!(trace.to_string(), PARENT);
        assert_eq!(&*trace.state, "a=1,b=2");
    }

    #[test]
    fn what_cannot_be_understood_is_as_if_it_were_not_there() {
        assert_eq!(carried(&[]), None);
        assert_eq!(carried(&[("tracestate", "a=1")]), None);
        assert_eq!(carried(&[("traceparent", "00-no")]), None);
        assert_eq!(
            carried(&[("traceparent", PARENT), ("traceparent", PARENT)]),
            None
        );
        let long = format!("a={}", "x".repeat(512));
        let trace = carried(&[("traceparent", PARENT), ("tracestate", &long)]);
        assert_eq!(&*trace.unwrap().state, "");
    }
}
