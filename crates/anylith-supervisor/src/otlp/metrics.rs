//! What was counted as OTLP has it.

use std::time::Duration;

use anylith_telemetry::{
    Family, Histogram as Lengths, Kind, Labels, Survey, Value, borders, families,
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
    },
};
use prost::Message as _;

use super::{resource, scope, text};

/// From when to when something was counted, in nanoseconds of Unix time.
#[derive(Clone, Copy)]
struct Span {
    begun_ns: u64,
    now_ns: u64,
}

/// The bytes of a request that tells what `survey` says now, which was counted since `begun_ns`.
pub(super) fn request(survey: &Survey, begun_ns: u64, now_ns: u64) -> Vec<u8> {
    let span = Span { begun_ns, now_ns };
    let families = families(survey);
    let families = families.iter().filter(|family| !family.samples.is_empty());
    let resource = resource([
        ("service.name", survey.app.as_str()),
        ("anylith.topology", survey.topology.as_str()),
    ]);
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics: families.map(|family| metric(family, span)).collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    request.encode_to_vec()
}

fn metric(family: &Family, span: Span) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = || {
        let samples = family.samples.iter();
        samples.filter_map(|sample| number(&sample.labels, &sample.value, span))
    };
    let sum = |is_monotonic| Sum {
        data_points: numbers().collect(),
        aggregation_temporality: cumulative,
        is_monotonic,
    };
    let data = match family.kind {
        Kind::Counter => metric::Data::Sum(sum(true)),
        Kind::Level => metric::Data::Sum(sum(false)),
        Kind::Gauge => metric::Data::Gauge(Gauge {
            data_points: numbers().collect(),
        }),
        Kind::Histogram => {
            let samples = family.samples.iter();
            let points = samples.filter_map(|sample| match &sample.value {
                Value::Lengths(lengths) => Some(lengths_of(&sample.labels, lengths, span)),
                Value::Count(_) | Value::Length(_) => None,
            });
            metric::Data::Histogram(Histogram {
                data_points: points.collect(),
                aggregation_temporality: cumulative,
            })
        }
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(labels: &Labels, value: &Value, span: Span) -> Option<NumberDataPoint> {
    let value = match value {
        Value::Count(count) => {
            number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX))
        }
        Value::Length(length) => number_data_point::Value::AsDouble(length.as_secs_f64()),
        Value::Lengths(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: span.begun_ns,
        time_unix_nano: span.now_ns,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn lengths_of(labels: &Labels, lengths: &Lengths, span: Span) -> HistogramDataPoint {
    let all = lengths.count();
    let mut below = 0;
    let mut counts: Vec<u64> = borders()
        .map(|border| {
            let within = lengths.below(border);
            within - std::mem::replace(&mut below, within)
        })
        .collect();
    counts.push(all - below);
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: span.begun_ns,
        time_unix_nano: span.now_ns,
        count: all,
        sum: Some(lengths.sum().as_secs_f64()),
        bucket_counts: counts,
        explicit_bounds: borders()
            .map(|border: Duration| border.as_secs_f64())
            .collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(Labels(labels): &Labels) -> Vec<KeyValue> {
    let labels = labels.iter();
    labels.map(|(name, value)| text(name, value)).collect()
}
