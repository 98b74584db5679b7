//! Tables of what was measured: medians of the repetitions.

use std::fmt::Write;

/// One repetition of one case on one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) requests_per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// CPU of the server's process for one request; NaN if its process is not known.
    pub(super) cpu_us: f64,
    /// The share of one core that the server used, in percent; NaN if its process is not known.
    pub(super) busy_percent: f64,
    /// Answers that were not right: wrong values, missing records and errors.
    pub(super) faults: u64,
}

/// All repetitions of one case on one server.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) samples: Vec<Sample>,
}

impl Row {
    fn median(&self, of: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of).collect())
    }

    /// The median of the ratios to `first` of the same repetition: what slowed the machine down
    /// then has slowed both.
    fn ratio(&self, first: &Row, of: fn(&Sample) -> f64) -> f64 {
        let pairs = self.samples.iter().zip(&first.samples);
        median(pairs.map(|(ours, theirs)| of(ours) / of(theirs)).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count.is_multiple_of(2) => {
            f64::midpoint(values[middle - 1], values[middle])
        }
        (_, middle) => values[middle],
    }
}

/// The table of one case. Ratios are to the first row.
pub(super) fn table(title: &str, rows: &[Row]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{title}");
    let _ = writeln!(
        out,
        "  {:<22} {:>11} {:>7} {:>8} {:>8} {:>8} {:>10} {:>6} {:>6} {:>6}",
        "server",
        "requests/s",
        "ratio",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "CPU us/req",
        "ratio",
        "busy %",
        "faults"
    );
    for row in rows {
        let faults: u64 = row.samples.iter().map(|sample| sample.faults).sum();
        let _ = writeln!(
            out,
            "  {:<22} {:>11.0} {:>7} {:>8.0} {:>8.0} {:>8.0} {:>10} {:>6} {:>6} {:>6}",
            row.name,
            row.median(rate),
            known(row.ratio(&rows[0], rate), 2),
            row.median(|sample| sample.p50_us),
            row.median(|sample| sample.p99_us),
            row.median(|sample| sample.p999_us),
            known(row.median(cpu), 3),
            known(row.ratio(&rows[0], cpu), 2),
            known(row.median(|sample| sample.busy_percent), 0),
            faults,
        );
    }
    out
}

fn rate(sample: &Sample) -> f64 {
    sample.requests_per_second
}

fn cpu(sample: &Sample) -> f64 {
    sample.cpu_us
}

/// A number, or a dash where it is not known.
pub(super) fn known(value: f64, decimals: usize) -> String {
    if value.is_finite() {
        format!("{value:.decimals$}")
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, rates: &[f64], cpu_us: f64) -> Row {
        let samples = rates.iter().map(|&requests_per_second| Sample {
            requests_per_second,
            cpu_us,
            faults: 1,
            ..Sample::default()
        });
        Row {
            name: name.to_owned(),
            samples: samples.collect(),
        }
    }

    #[test]
    fn medians_and_ratios_to_the_first_server_are_printed() {
        let rows = [
            row("first", &[100.0, 300.0, 200.0], 5.0),
            row("second", &[100.0, 60.0], 10.0),
            row("third", &[50.0], f64::NAN),
        ];
        let table = table("a case", &rows);
        let cells: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            cells[0],
            [
                "first", "200", "1.00", "0", "0", "0", "5.000", "1.00", "0", "3"
            ]
        );
        assert_eq!(
            cells[1],
            [
                "second", "80", "0.60", "0", "0", "0", "10.000", "2.00", "0", "2"
            ]
        );
        assert_eq!(
            cells[2],
            ["third", "50", "0.50", "0", "0", "0", "-", "-", "0", "1"]
        );
    }
}
