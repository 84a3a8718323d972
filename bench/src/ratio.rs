//! A ratio between what we cost and what a peer costs, and how it is printed.

use std::fmt;

use serde::Serialize;

/// Ours against a peer, over rounds that were run in turn.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ratio {
    /// What was measured.
    pub(crate) name: String,
    /// Our cost: the median over the rounds.
    pub(crate) ours: f64,
    /// The peer's cost: the median over the rounds.
    pub(crate) peer: f64,
    /// Who the peer is.
    pub(crate) peer_name: String,
    /// What both costs are counted in.
    pub(crate) unit: &'static str,
    /// The median of the ratios of each round.
    pub(crate) ratio: f64,
    /// The middle half of the ratios of each round: from the first quartile to the third.
    pub(crate) spread: [f64; 2],
    /// What the ratio may be at most; `None` where it is only told.
    pub(crate) bound: Option<f64>,
    /// Whether the ratio is within its bound.
    pub(crate) passed: bool,
}

impl Ratio {
    /// Compares two contestants, round by round.
    pub(crate) fn new(
        name: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        (peer_name, peer): (&str, &[f64]),
        bound: Option<f64>,
    ) -> Self {
        let ratios: Vec<f64> = ours
            .iter()
            .zip(peer)
            .map(|(ours, peer)| ours / peer)
            .collect();
        let ratio = quantile(&ratios, 0.5);
        Self {
            name: name.into(),
            ours: quantile(ours, 0.5),
            peer: quantile(peer, 0.5),
            peer_name: peer_name.to_owned(),
            unit,
            ratio,
            spread: [quantile(&ratios, 0.25), quantile(&ratios, 0.75)],
            bound,
            passed: bound.is_none_or(|bound| ratio <= bound),
        }
    }

    /// Compares a cost with a limit that is a number of its own.
    pub(crate) fn to_limit(
        name: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        limit: f64,
    ) -> Self {
        Self::new(
            name,
            unit,
            ours,
            ("the limit", &vec![limit; ours.len()]),
            Some(1.0),
        )
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            ours,
            peer,
            peer_name,
            unit,
            ratio,
            spread: [low, high],
            ..
        } = self;
        write!(
            f,
            "{name:<26} ours {ours:>9.3} {unit}  {peer_name} {peer:>9.3} {unit}  "
        )?;
        write!(f, "ratio {ratio:.3} [{low:.3} to {high:.3}]  ")?;
        match self.bound {
            None => write!(f, "no bound"),
            Some(bound) if self.passed => write!(f, "bound {bound:.3}  ok"),
            Some(bound) => write!(f, "bound {bound:.3}  MISSED"),
        }
    }
}

/// The value below which the given share of `values` lies; 0 if there are none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let position = share * last as f64;
    let (below, above) = (
        sorted[position.floor() as usize],
        sorted[position.ceil() as usize],
    );
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians() {
        let ratio = Ratio::new(
            "x",
            "µs",
            &[1.0, 2.0, 9.0],
            ("peer", &[2.0, 8.0, 9.0]),
            Some(0.5),
        );
        assert_eq!((ratio.ratio, ratio.ours, ratio.peer), (0.5, 2.0, 8.0));
        assert!(ratio.passed);
    }

    #[test]
    fn a_quantile_between_two_values_is_interpolated() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
