//! What `anylith metrics` says, taken apart.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use crate::Shop;

/// The samples of Prometheus' text format.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Sample>);

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Samples {
    /// Asks the supervisor of `shop` for them.
    ///
    /// # Errors
    ///
    /// If the command fails, or prints something else.
    pub fn of(shop: &Shop) -> anyhow::Result<Self> {
        let output = shop.command(&["metrics"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}\n{}", shop.output());
        Self::parse(&String::from_utf8(output.stdout)?)
    }

    /// Reads `text`, whose label values have nothing in them that would be escaped.
    ///
    /// # Errors
    ///
    /// The first line that is no sample.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| line.to_owned()));
        Ok(Self(samples.collect::<anyhow::Result<_>>()?))
    }

    /// The sum of all samples of `name` that have all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    /// The same for each value of the labels called `by`, without those that are 0.
    pub fn sum_by<const N: usize>(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        by: [&str; N],
    ) -> BTreeMap<[String; N], u64> {
        let mut sums = BTreeMap::new();
        for sample in self.matching(name, labels) {
            let key = by.map(|label| sample.labels.get(label).cloned().unwrap_or_default());
            *sums.entry(key).or_default() += sample.value as u64;
        }
        sums.retain(|_, sum| *sum > 0);
        sums
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            let mut wanted = labels.iter();
            sample.name == name
                && wanted
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        })
    }
}

/// `name{label="value",…} 3`
fn sample(line: &str) -> anyhow::Result<Sample> {
    let (series, value) = line.rsplit_once(' ').context("it has no value")?;
    let (name, labels) = series.split_once('{').context("it has no labels")?;
    let labels = labels.strip_suffix('}').context("its labels do not end")?;
    let pairs = labels.split(',').map(|pair| {
        let (label, value) = pair.split_once('=').context("a label without a value")?;
        Ok((label.to_owned(), value.trim_matches('"').to_owned()))
    });
    Ok(Sample {
        name: name.to_owned(),
        labels: pairs.collect::<anyhow::Result<_>>()?,
        value: value.parse()?,
    })
}
