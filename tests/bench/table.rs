//! Answers → rows of a Markdown table.

use std::fmt;

use crate::case::{Answer, Case, Figure};

/// What both sides said of a case.
pub struct Table<'a> {
    pub case: &'a Case,
    pub ours: &'a Result<Answer, String>,
    pub peer: Option<&'a Result<Answer, String>>,
    /// Whether there are columns for a peer.
    pub compares: bool,
}

impl Table<'_> {
    /// Title and head of a part's table.
    pub fn heading(title: &str, compares: bool) -> String {
        let head = if compares {
            "| what | curricle | peer | ratio | peak, MiB | the peer's | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        } else {
            "| what | curricle | bound |\n| --- | ---: | ---: |"
        };
        format!("## {title}\n\n{head}")
    }

    /// Whether every figure is what it may be; a development build has no bounds.
    pub fn within_bounds(&self) -> bool {
        let Ok(ours) = self.ours else { return false };
        cfg!(debug_assertions)
            || ours.figures.iter().all(|figure| figure.bound.is_none_or(|bound| figure.value <= bound))
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, ours: &Answer, at: usize) -> fmt::Result {
        let figure = &ours.figures[at];
        let name = match (self.case.name.as_str(), figure.name.as_str()) {
            (case, "") => case.to_owned(),
            ("", figure) => figure.to_owned(),
            (case, figure) => format!("{case}: {figure}"),
        };
        write!(f, "| {name} | {} |", shown(figure.value, &figure.unit))?;
        if !self.compares {
            let bound = figure.bound.map(|bound| shown(bound, &figure.unit)).unwrap_or_default();
            let broken = figure.bound.is_some_and(|bound| figure.value > bound);
            return write!(f, " {bound}{} |", if broken { " **exceeded**" } else { "" });
        }
        let peer = self.peer.and_then(|peer| peer.as_ref().ok());
        let theirs = peer.and_then(|peer| peer.figures.iter().find(|other| other.name == figure.name));
        match (theirs, self.peer) {
            (Some(theirs), _) => {
                let who = peer.map(|peer| peer.who.as_str()).unwrap_or_default();
                write!(f, " {} ({who}) | {:.2} |", shown(theirs.value, &theirs.unit), ratio(figure, theirs))?;
            }
            (None, Some(Err(_))) => write!(f, " failed | |")?,
            (None, _) => write!(f, " | |")?,
        }
        if at > 0 {
            return write!(f, " | | |");
        }
        let device = |answer: &Answer| answer.device_mib.map(|mib| format!(" + {} on the GPU", grouped(mib)));
        let memory = |answer: &Answer| {
            let host = answer.peak_mib.map(grouped).unwrap_or_default();
            host + &device(answer).unwrap_or_default()
        };
        let total = |answer: &Answer| answer.device_mib.or(answer.peak_mib).filter(|mib| *mib > 0);
        let less = peer.and_then(total).zip(total(ours)).map(|(theirs, ours)| theirs as f64 / ours as f64);
        let less = less.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        write!(f, " {} | {} | {less} |", memory(ours), peer.map(memory).unwrap_or_default())
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = match self.ours {
            Ok(ours) => ours,
            Err(why) => return write!(f, "| {} | failed: {why} |", self.case.name),
        };
        for at in 0..ours.figures.len() {
            if at > 0 {
                writeln!(f)?;
            }
            self.row(f, ours, at)?;
        }
        Ok(())
    }
}

/// How many times as good as the peer.
fn ratio(ours: &Figure, theirs: &Figure) -> f64 {
    if ours.more_is_better() { ours.value / theirs.value } else { theirs.value / ours.value }
}

/// Three digits that count, whole numbers from 100.
fn shown(value: f64, unit: &str) -> String {
    match value {
        value if value >= 99.95 => format!("{} {unit}", grouped(value.round() as u64)),
        value if value >= 9.995 => format!("{value:.1} {unit}"),
        value => format!("{value:.2} {unit}"),
    }
}

/// `12,345`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
