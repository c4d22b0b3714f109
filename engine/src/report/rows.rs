//! [`Report`] → rows of cells, the first the head: what markdown, the terminal and HTML show as tables.

use std::collections::{BTreeMap, BTreeSet};

use super::curves::Curve;
use super::{ArmDifference, ArmTable, Comparison, Evaluation, Interval, Report, StageRow, StagesOf, duration};
use crate::estimate::bytes;
use crate::exec::Status;
use crate::stage::PhaseMemory;

/// A table: rows of cells, the first the head.
pub type Rows = Vec<Vec<String>>;

/// Most stages that are shown one by one.
const MOST_STAGES: usize = 30;
/// Most words on stages without a result.
const MOST_TROUBLES: usize = 20;

impl Report {
    /// Are there so many stages that they are counted instead of listed?
    pub fn is_folded(&self) -> bool {
        self.stages.len() > MOST_STAGES
    }

    /// Every stage, or where there are many, how many of each variant ended how.
    pub(super) fn stage_rows(&self) -> Rows {
        if self.is_folded() { self.variant_rows() } else { self.every_stage() }
    }

    fn every_stage(&self) -> Rows {
        let row = |stage: &StageRow| {
            let time = stage.wall_s.map_or_else(String::new, duration);
            let why = stage.why.iter().map(|why| why.lines().next().unwrap_or_default()).collect::<Vec<_>>().join("; ");
            let (name, kind, status) = (stage.stage.clone(), stage.kind.clone(), stage.status.word().to_owned());
            vec![name, kind, status, time, stage.key.clone(), why]
        };
        with_head(&["stage", "kind", "status", "time", "key", "why"], self.stages.iter().map(row))
    }

    /// What each stage had in memory: its process, then its phases. Nothing where nobody looked, or stages are counted only.
    pub(super) fn memory_rows(&self) -> Rows {
        let looked = |stage: &StageRow| Some((stage.stage.clone(), stage.memory.clone()?));
        let stages = self.stages.iter().filter(|_| !self.is_folded()).filter_map(looked);
        let rows = stages.flat_map(|(name, memory)| {
            let known = |count: Option<u64>| count.map_or_else(String::new, bytes);
            let whole = memory.peak.map(|peak| {
                vec![name.clone(), "its process".to_owned(), bytes(peak), String::new(), known(memory.expected)]
            });
            let phase = move |phase: PhaseMemory| {
                let what = format!("{} ({})", phase.phase, phase.of.word());
                vec![name.clone(), what, bytes(phase.peak), bytes(phase.held), String::new()]
            };
            whole.into_iter().chain(memory.phases.into_iter().map(phase))
        });
        with_head(&["stage", "phase", "at most", "at its end", "expected"], rows)
    }

    /// Variants × what became of their stages, aligned by column.
    pub fn variant_rows(&self) -> Rows {
        let several = self.by_variant.len() > 1;
        let statuses: BTreeSet<Status> = self.stages.iter().map(|stage| stage.status).collect();
        let mut head = vec!["arm".to_owned(), "seeds".to_owned(), "stages".to_owned()];
        head.extend(statuses.iter().map(|status| status.word().to_owned()));
        head.push(if several { "time alone" } else { "time" }.to_owned());
        let row = |name: &str, seeds: String, counts: &BTreeMap<Status, usize>, wall_s: f64| {
            let mut row = vec![name.to_owned(), seeds, counts.values().sum::<usize>().to_string()];
            row.extend(statuses.iter().map(|status| counts.get(status).map_or_else(String::new, usize::to_string)));
            row.push(duration(wall_s));
            row
        };
        let of = |of: &StagesOf| row(&of.variant, of.seeds.to_string(), &of.counts, of.wall_s);
        let mut rows = vec![head];
        rows.extend(self.by_variant.iter().map(of));
        if several {
            let mut counts = BTreeMap::new();
            for stage in &self.stages {
                *counts.entry(stage.status).or_default() += 1;
            }
            let wall_s = self.stages.iter().filter_map(|stage| stage.wall_s).sum();
            rows.push(row("each stage once", String::new(), &counts, wall_s));
        }
        rows
    }

    /// A line for each stage that was to have a result and has none; of many, the first.
    pub fn troubles(&self) -> Vec<String> {
        let short = |stage: &&StageRow| !matches!(stage.status, Status::Ran | Status::Reused | Status::NotSelected);
        let all: Vec<&StageRow> = self.stages.iter().filter(short).collect();
        let line = |stage: &&StageRow| {
            let why = stage.why.last().map_or("", |why| why.lines().next().unwrap_or_default());
            format!("{} {}: {why}", stage.stage, stage.status.word())
        };
        let mut lines: Vec<String> = all.iter().take(MOST_TROUBLES).map(line).collect();
        if all.len() > MOST_TROUBLES {
            lines.push(format!("and {} more", all.len() - MOST_TROUBLES));
        }
        lines
    }

    pub(super) fn metric_rows(&self) -> Rows {
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
        let count = |name: &str, of: &dyn Fn(&Evaluation) -> usize| {
            let mut row = vec![name.to_owned()];
            row.extend(self.evaluations.iter().map(|evaluation| of(evaluation).to_string()));
            row
        };
        rows.push(count("items", &|evaluation| evaluation.items));
        if self.has_seeds() {
            rows.push(count("seeds", &|evaluation| evaluation.seeds));
        }
        rows
    }

    /// Was anything measured under several seeds?
    pub(super) fn has_seeds(&self) -> bool {
        self.evaluations.iter().any(|evaluation| evaluation.seeds > 1)
    }

    pub(super) fn comparison_rows(&self) -> Rows {
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
        with_head(&["step", "items of", "n", "difference"], self.comparisons.iter().map(row))
    }

    pub(super) fn curve_rows(&self, stage: &str) -> Rows {
        let mut rows =
            with_head(&["number", "arm", "start", "¼", "½", "¾", "end", "seeds", "curve"], std::iter::empty());
        for curve in self.curves.iter().filter(|curve| curve.stage == stage) {
            for (index, line) in curve.lines.iter().enumerate() {
                let name = if index == 0 { curve.metric.clone() } else { String::new() };
                let mut row = vec![name, line.label()];
                row.extend([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| line.at(share).map_or_else(String::new, short)));
                row.extend([line.seeds.to_string(), line.spark(curve.range())]);
                rows.push(row);
            }
        }
        rows
    }

    /// Stages that have curves, in order.
    pub(super) fn curved_stages(&self) -> Vec<(&str, usize)> {
        let mut stages: Vec<(&str, usize)> = Vec::new();
        for Curve { stage, steps, .. } in &self.curves {
            if stages.iter().all(|(known, _)| known != stage) {
                stages.push((stage, *steps));
            }
        }
        stages
    }

    /// Gates, each with what its stages show.
    pub(super) fn gate_rows(&self) -> Rows {
        let gates = self.gates.iter().map(|gate| {
            let (name, require) = (gate.gate.clone(), format!("`{}`", gate.require));
            vec![name, gate.words(), require, gate.why(), gate.holds.join(", ")]
        });
        with_head(&["gate", "verdict", "required", "measured", "waits for it"], gates)
    }

    pub(super) fn alert_rows(&self) -> Rows {
        let alerts = self.alerts.iter().map(|alert| {
            let (stage, step) = (alert.stage.clone(), alert.step.to_string());
            vec![stage, step, alert.detector.clone(), alert.action.clone(), alert.message.clone()]
        });
        with_head(&["stage", "step", "detector", "action", "message"], alerts)
    }

    /// Alerts of one detector with one action in a line, for where there is little room.
    pub fn alert_lines(&self) -> Vec<String> {
        let mut folded: BTreeMap<(&str, &str), (usize, Vec<&str>)> = BTreeMap::new();
        for alert in &self.alerts {
            let (count, stages) = folded.entry((&alert.detector, &alert.action)).or_default();
            *count += 1;
            if !stages.contains(&alert.stage.as_str()) {
                stages.push(&alert.stage);
            }
        }
        let line = |((detector, action), (count, stages)): (&(&str, &str), &(usize, Vec<&str>))| {
            let more = if stages.len() > 3 { format!(" and {} more", stages.len() - 3) } else { String::new() };
            let times = if *count > 1 { format!(" ×{count}") } else { String::new() };
            format!("{action}: {detector}{times} in {}{more}", stages[..stages.len().min(3)].join(", "))
        };
        folded.iter().map(line).collect()
    }
}

impl ArmTable {
    /// Means of every variant.
    pub(super) fn mean_rows(&self) -> Rows {
        let mut head = vec!["arm".to_owned()];
        head.extend(self.columns.iter().cloned());
        let mut rows = vec![head];
        for row in &self.rows {
            let mut cells = vec![row.variant.clone()];
            cells.extend(row.cells.iter().map(|cell| match cell {
                None => String::new(),
                Some(cell) => match cell.interval {
                    Some(interval) => format!("{} {}", number(cell.value), range(interval, number)),
                    None if cell.seeds > 1 => {
                        format!("{} ({}–{})", number(cell.value), number(cell.range.low), number(cell.range.high))
                    }
                    None => number(cell.value),
                },
            }));
            rows.push(cells);
        }
        rows
    }

    /// Differences to the base; none where nothing can be compared.
    pub(super) fn difference_rows(&self) -> Option<Rows> {
        let cells = || self.rows.iter().flat_map(|row| row.cells.iter().flatten());
        if cells().all(|cell| cell.difference.is_none()) {
            return None;
        }
        let mut head = vec!["arm − base".to_owned()];
        head.extend(self.columns.iter().cloned());
        let mut rows = vec![head];
        for row in self.rows.iter().skip(1) {
            let mut line = vec![row.variant.clone()];
            line.extend(row.cells.iter().map(|cell| match cell {
                Some(cell) if cell.same_as_base => "same model".to_owned(),
                Some(cell) => cell.difference.as_ref().map_or_else(String::new, difference),
                None => String::new(),
            }));
            rows.push(line);
        }
        Some(rows)
    }
}

/// `+0.050 [+0.010, +0.090] * p 0.031, 4/5 seeds up, n 5 × 200`
fn difference(difference: &ArmDifference) -> String {
    let ArmDifference { estimate, p_holm, better, .. } = difference;
    let mark = match difference.excludes_zero() {
        true if *p_holm < 0.05 => " **",
        true => " *",
        false => "",
    };
    let p = if *p_holm < 0.001 { "p < 0.001".to_owned() } else { format!("p {p_holm:.3}") };
    let seeds = if estimate.seeds > 1 { format!(", {better}/{} seeds up", estimate.seeds) } else { String::new() };
    let each = estimate.items / estimate.seeds;
    let n = match estimate.seeds {
        seeds if seeds > 1 && seeds * each == estimate.items => format!("{seeds}×{each}"),
        _ => estimate.items.to_string(),
    };
    format!("{} {}{mark} {p}{seeds}, n {n}", signed(estimate.mean), range(estimate.interval, signed))
}

fn with_head(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Rows {
    std::iter::once(head.iter().map(|cell| (*cell).to_owned()).collect()).chain(rows).collect()
}

/// Three decimals.
pub(super) fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn signed(value: f64) -> String {
    format!("{value:+.3}")
}

/// Three significant digits or so, for numbers of any size.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn range(Interval { low, high }: Interval, write: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", write(low), write(high))
}
