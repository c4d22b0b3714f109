//! [`Report`] → text: markdown, whose tables are aligned so that a terminal shows them just as well.

use super::rows::Rows;
use super::{ArmTable, Arms, Report, TINY};
use crate::exec::Outcome;
use crate::gate::{GateRecord, Method};

/// Most gates that a terminal shows.
const MOST_GATES: usize = 8;

impl Report {
    /// The report as markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}\n", self.recipe, self.headline());
        text += &format!("\n## Stages\n\n{}", self.stages_table());
        let memory = self.memory_rows();
        if memory.len() > 1 {
            text += &format!("\n## Memory\n\n{}\n{}\n", markdown(&memory), Self::about_memory());
        }
        if !self.curation.is_empty() {
            text += &format!("\n## Rows\n\n{}", markdown(&self.curation_rows()));
        }
        for (title, cells) in self.curation_tables() {
            text += &format!("\n### {title}\n\n{}", markdown(cells));
        }
        if !self.evaluations.is_empty() {
            text += &format!("\n## Metrics{}\n\n{}\n{}\n", self.of_base(), self.metrics_table(), self.about_metrics());
        }
        if !self.comparisons.is_empty() {
            text += &format!(
                "\n## What each stage added{}\n\n{}\n{}\n",
                self.of_base(),
                self.comparisons_table(),
                self.about_comparisons()
            );
        }
        if !self.gates.is_empty() {
            text += &format!("\n## Gates\n\n{}\n{}\n", markdown(&self.gate_rows()), self.about_gates());
        }
        if let Some(arms) = &self.arms {
            text += &format!("\n## Arms\n\n{}", variants(arms));
            for part in &arms.tables {
                text += &format!("\n### {}\n\n{}", part.metric, arm_tables(part));
            }
            text += &format!("\n{}\n", arms.method());
        }
        let curves = self.curved_stages();
        if !curves.is_empty() {
            text += "\n## Curves\n\nMeans over a twentieth of the steps each, then over seeds; the bars of a number share one scale.\n";
        }
        for (stage, steps) in curves {
            text += &format!("\n### {stage}, {steps} steps\n\n{}", markdown(&self.curve_rows(stage)));
        }
        if !self.alerts.is_empty() {
            text += &format!("\n## Alerts\n\n{}", markdown(&self.alert_rows()));
        }
        text
    }

    /// What a terminal shows when a run ends: of everything the part that fits.
    pub fn to_summary(&self) -> String {
        let mut text = self.gate_lines();
        if !self.curation.is_empty() && self.arms.is_none() {
            text += &format!("\n{}", markdown(&self.curation_rows()));
        }
        let Some(arms) = &self.arms else {
            if !self.evaluations.is_empty() {
                text += &format!("\n{}", self.metrics_table());
            }
            if !self.comparisons.is_empty() {
                text += &format!("\n{}", self.comparisons_table());
            }
            return text + &self.folded_alerts();
        };
        for part in arms.tables.iter().filter(|table| table.metric == "accuracy") {
            text += &format!("\naccuracy\n{}", arm_tables(part));
        }
        for curve in self.curves.iter().filter(|curve| curve.metric == "reward") {
            text += &format!("\nreward of {}, {} steps\n", curve.stage, curve.steps);
            let labels: Vec<String> = curve.lines.iter().map(super::CurveLine::label).collect();
            let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
            for (line, label) in curve.lines.iter().zip(&labels) {
                let pad = " ".repeat(width - label.chars().count());
                let ends = [0.0, 1.0].map(|share| line.at(share).map_or_else(String::new, super::rows::short));
                text += &format!("  {label}{pad}  {}  {} → {}\n", line.spark(curve.range()), ends[0], ends[1]);
            }
        }
        text + &self.folded_alerts()
    }

    /// A line per gate, those that are not met first where they are many.
    fn gate_lines(&self) -> String {
        let (met, others): (Vec<_>, Vec<_>) =
            self.gates.iter().partition(|gate| gate.verdict() == Some(crate::gate::Verdict::Met));
        let line = |gate: &&GateRecord| format!("gate {}: {}; {}\n", gate.gate, gate.words(), gate.why());
        let lines: Vec<String> = others.iter().chain(&met).map(line).collect();
        let hidden = lines.len().saturating_sub(MOST_GATES);
        let more = if hidden > 0 { format!("and {hidden} more gates\n") } else { String::new() };
        if lines.is_empty() { String::new() } else { format!("\n{}{more}", lines[..lines.len() - hidden].concat()) }
    }

    fn folded_alerts(&self) -> String {
        let lines = self.alert_lines();
        if lines.is_empty() { String::new() } else { format!("\nalerts\n  {}\n", lines.join("\n  ")) }
    }

    /// Stages, aligned: each, or where there are many, how many of each variant ended how.
    fn stages_table(&self) -> String {
        if self.is_folded() {
            let troubles = match self.troubles() {
                none if none.is_empty() => String::new(),
                lines => format!("\n- {}\n", lines.join("\n- ")),
            };
            return markdown(&self.stage_rows()) + &troubles;
        }
        let mut rows = self.stage_rows();
        for row in rows.iter_mut().skip(1) {
            row[4] = format!("`{}`", row[4]);
        }
        markdown(&rows)
    }

    /// Metrics × subjects, aligned.
    pub fn metrics_table(&self) -> String {
        markdown(&self.metric_rows())
    }

    /// Before → after, aligned.
    pub fn comparisons_table(&self) -> String {
        markdown(&self.comparison_rows())
    }

    /// Says in a heading whose numbers follow.
    pub(super) fn of_base(&self) -> &'static str {
        if self.arms.is_some() { ", recipe as written" } else { "" }
    }

    pub(super) fn about_memory() -> &'static str {
        "Process: the peak of its resident memory. Heap: blocks of 4 KiB or more in use, without pages that the allocator keeps. \
         Device: reserved by its pools at the most, in use at the end."
    }

    pub(super) fn about_metrics(&self) -> &'static str {
        if self.has_seeds() {
            "Means over seeds. Brackets: 95 % interval over seeds and items by bootstrap (10,000 resamples)."
        } else {
            "Brackets: 95 % interval over items."
        }
    }

    pub(super) fn about_comparisons(&self) -> &'static str {
        if self.has_seeds() {
            "Difference on the same items under the same seed; 95 % interval by paired bootstrap over seeds and items (10,000 \
             resamples). `*`: the interval excludes zero."
        } else {
            "Difference on the same items; 95 % interval by paired bootstrap over items (10,000 resamples). `*`: the interval \
             excludes zero."
        }
    }

    /// How gates were judged.
    pub(super) fn about_gates(&self) -> &'static str {
        if self.gates.iter().any(|gate| gate.method == Method::PairedBootstrap) {
            "Brackets: ends of two one-sided intervals of the weighted sum over the items that all its metrics scored, bootstrap over \
             items (10,000 resamples). Met: the end that has to hold does. Not met: the other end does not either. Undecided: the \
             interval holds the margin. They say nothing of another training of the recipe."
        } else {
            "Values are compared as they are."
        }
    }

    pub(super) fn headline(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Done => "Done".to_owned(),
            Outcome::Failed => "Failed".to_owned(),
            Outcome::GateNotMet => "Stopped by a gate".to_owned(),
            Outcome::StoreTrouble => "Stopped by the store".to_owned(),
            Outcome::Interrupted { signal } => format!("Interrupted by signal {signal}"),
        };
        let tiny = if self.tiny { format!("{TINY} ") } else { String::new() };
        format!("{tiny}{outcome} in {}; began {}; curricle {}.", duration(self.wall_s), self.started, self.version)
    }
}

fn variants(arms: &Arms) -> String {
    let line = |variant: &super::ArmVariant| {
        let sets = variant.settings.iter().map(|(path, value)| format!("`{path}` = {value}"));
        let sets = sets.collect::<Vec<_>>().join(", ");
        let sets = if sets.is_empty() { "the recipe as written".to_owned() } else { sets };
        let seeds = variant.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let plural = if variant.seeds.len() == 1 { "" } else { "s" };
        format!("- {}: {sets}; seed{plural} {seeds}\n", variant.name)
    };
    arms.variants.iter().map(line).collect()
}

fn arm_tables(part: &ArmTable) -> String {
    let difference = part.difference_rows().map_or_else(String::new, |rows| format!("\n{}", markdown(&rows)));
    markdown(&part.mean_rows()) + &difference
}

/// [`table`] of cells that may hold what markdown takes for something else.
fn markdown(rows: &Rows) -> String {
    let cell = |cell: &String| cell.replace('|', "\\|").replace('\n', " ");
    table(&rows.iter().map(|row| row.iter().map(cell).collect()).collect::<Vec<_>>())
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
