//! What an application has counted, as Prometheus reads it.
//!
//! The format is the text format 0.0.4. Names are those of the [families](crate::families), spelled as Prometheus spells them: dots
//! are underscores, the unit and `total` are suffixes.

use std::{fmt::Write as _, time::Duration};

use crate::{
    family::{Family, Kind, Labels, Sample, Value, borders, families},
    histogram::Histogram,
    survey::Survey,
};

/// What the text is to be served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes `survey` down.
pub fn render(survey: &Survey) -> String {
    let mut page = Page::default();
    let labels = Labels::default()
        .and("service.name", survey.app.as_str())
        .and("anylith.topology", survey.topology.as_str());
    page.family(&Family {
        name: "target.info",
        help: "The application that the other metrics are of.",
        unit: "1",
        kind: Kind::Gauge,
        samples: vec![Sample {
            labels,
            value: Value::Count(1),
        }],
    });
    families(survey)
        .iter()
        .for_each(|family| page.family(family));
    page.text
}

/// The text as far as it is written.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

// Writing into a string cannot fail.
impl Page {
    fn family(&mut self, family: &Family) {
        let (name, kind) = (name(family), kind(family.kind));
        let help = family.help;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for Sample { labels, value } in &family.samples {
            let labels = written(labels);
            match value {
                Value::Count(count) => self.sample(&name, &labels, count),
                Value::Length(length) => self.sample(&name, &labels, seconds(*length)),
                Value::Lengths(lengths) => self.histogram(&name, &labels, lengths),
            }
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        let within = |border: &str| match labels {
            "" => format!("le=\"{border}\""),
            labels => format!("{labels},le=\"{border}\""),
        };
        for border in borders() {
            let within = within(&seconds(border));
            self.sample(&bucket, &within, histogram.below(border));
        }
        let all = histogram.count();
        self.sample(&bucket, &within("+Inf"), all);
        let sum = seconds(histogram.sum());
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, all);
    }
}

/// The name of a family, with its unit.
fn name(family: &Family) -> String {
    let mut name = family.name.replace('.', "_");
    name += match family.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
    if family.kind == Kind::Counter {
        name += "_total";
    }
    name
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Level | Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The labels of a sample, written: `a="1",b="2"`.
fn written(Labels(labels): &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text += &name.replace('.', "_");
        text += "=\"";
        for letter in value.chars() {
            match letter {
                '\\' => text += "\\\\",
                '"' => text += "\\\"",
                '\n' => text += "\\n",
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

/// A length in seconds, exact, without zeros at its end.
fn seconds(length: Duration) -> String {
    let (whole, nanoseconds) = (length.as_secs(), length.subsec_nanos());
    match nanoseconds {
        0 => format!("{whole}"),
        part => {
            let part = format!("{part:09}");
            format!("{whole}.{}", part.trim_end_matches('0'))
        }
    }
}
