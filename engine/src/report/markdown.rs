//! [`Report`] → text: markdown, whose tables are aligned so that a terminal shows them just as well.

use std::collections::BTreeSet;

use super::{Comparison, Evaluation, Interval, Report, StageRow};
use crate::exec::Outcome;

impl Report {
    /// The report as markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}\n", self.recipe, self.headline());
        text += &format!("\n## Stages\n\n{}", self.stages_table());
        if !self.evaluations.is_empty() {
            text += &format!("\n## Metrics\n\n{}\nBrackets: 95 % interval over items.\n", self.metrics_table());
        }
        if !self.comparisons.is_empty() {
            text += &format!(
                "\n## What each stage added\n\n{}\nDifference on the same items; 95 % interval by paired bootstrap over \
                 items (10,000 resamples). `*`: the interval excludes zero.\n",
                self.comparisons_table()
            );
        }
        text
    }

    /// Metrics × subjects, aligned.
    pub fn metrics_table(&self) -> String {
        let data: BTreeSet<&str> = self.evaluations.iter().map(|evaluation| evaluation.data.as_str()).collect();
        let names: BTreeSet<&str> =
            self.evaluations.iter().flat_map(|evaluation| evaluation.metrics.keys().map(String::as_str)).collect();
        let title = |evaluation: &Evaluation| match data.len() {
            0 | 1 => evaluation.subject.clone(),
            _ => format!("{} on {}", evaluation.subject, evaluation.data),
        };
        let mut head = vec!["metric".to_owned()];
        head.extend(self.evaluations.iter().map(title));
        let mut rows = vec![head];
        for name in names {
            let mut row = vec![name.to_owned()];
            row.extend(self.evaluations.iter().map(|evaluation| match evaluation.metrics.get(name) {
                None => String::new(),
                Some(measured) => match measured.interval {
                    None => number(measured.value),
                    Some(interval) => format!("{} {}", number(measured.value), range(interval, number)),
                },
            }));
            rows.push(row);
        }
        let mut items = vec!["items".to_owned()];
        items.extend(self.evaluations.iter().map(|evaluation| evaluation.items.to_string()));
        rows.push(items);
        table(&rows)
    }

    /// Before → after, aligned.
    pub fn comparisons_table(&self) -> String {
        let several = self.comparisons.windows(2).any(|pair| pair[0].data != pair[1].data);
        let row = |comparison: &Comparison| {
            let items = match comparison {
                Comparison { group, .. } if !several => group.clone(),
                Comparison { data, group, .. } if group == "all" => data.clone(),
                Comparison { data, group, .. } => format!("{data}, {group}"),
            };
            let mark = if comparison.is_significant() { " *" } else { "" };
            vec![
                format!("{} → {}", comparison.before, comparison.after),
                items,
                comparison.items.to_string(),
                format!("{} {}{mark}", signed(comparison.difference), range(comparison.interval, signed)),
            ]
        };
        let head = ["step", "items of", "n", "difference"].map(str::to_owned).to_vec();
        table(&std::iter::once(head).chain(self.comparisons.iter().map(row)).collect::<Vec<_>>())
    }

    fn stages_table(&self) -> String {
        let row = |stage: &StageRow| {
            let time = stage.wall_s.map_or_else(String::new, duration);
            let why = stage.why.iter().map(|why| why.lines().next().unwrap_or_default()).collect::<Vec<_>>().join("; ");
            let key = format!("`{}`", stage.key);
            vec![
                stage.stage.clone(),
                stage.kind.clone(),
                stage.status.word().to_owned(),
                time,
                key,
                why.replace('|', "\\|"),
            ]
        };
        let head = ["stage", "kind", "status", "time", "key", "why"].map(str::to_owned).to_vec();
        table(&std::iter::once(head).chain(self.stages.iter().map(row)).collect::<Vec<_>>())
    }

    fn headline(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Done => "Done".to_owned(),
            Outcome::Failed => "Failed".to_owned(),
            Outcome::StoreTrouble => "Stopped by the store".to_owned(),
            Outcome::Interrupted { signal } => format!("Interrupted by signal {signal}"),
        };
        format!("{outcome} in {}; began {}; curricle {}.", duration(self.wall_s), self.started, self.version)
    }
}

/// `0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Rows of cells → a markdown table with columns of equal width; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default().max(3)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            text += &format!("| {cell}{} ", " ".repeat(width - cell.chars().count()));
        }
        text += "|\n";
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text += &format!("| {} |\n", rules.join(" | "));
        }
    }
    text
}

fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn signed(value: f64) -> String {
    format!("{value:+.3}")
}

fn range(Interval { low, high }: Interval, write: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", write(low), write(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let spelled = [0.04, 9.94, 9.96, 59.4, 59.6, 200.0, 7500.0].map(duration);
        assert_eq!(spelled, ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]);
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [vec!["a".to_owned(), "metric".to_owned()], vec!["long → er".to_owned(), "1".to_owned()]];
        let expected = "| a         | metric |\n| --------- | ------ |\n| long → er | 1      |\n";
        assert_eq!(table(&rows), expected);
    }
}
