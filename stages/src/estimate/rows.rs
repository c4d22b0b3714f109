//! What stages that turn rows into rows would write, and what their rows are like: lengths and images stay as they came, and
//! of how many will go only a bound is known. Time is not known, nor is memory: the work is in reading.

use curricle_engine::stage::{Estimate, Extent, Facts};

use super::evaluate::TEXT;
use super::whole;

/// Of a stage that passes on some of the rows of `data`: at most so many, on the port `rows`.
pub fn some(facts: &Facts<'_>, most: Option<f64>) -> Estimate {
    let bound = "rows are at most these: how many go is known when they have been read";
    parts(facts, [("rows", 1.0)], most, Some(bound))
}

/// Of a stage that passes on every row of `data`, on the port `rows`.
pub fn all(facts: &Facts<'_>) -> Estimate {
    parts(facts, [("rows", 1.0)], None, None)
}

/// Of a stage that passes on shares of the rows of `data`, each on a port of its own.
pub fn shares<'a>(facts: &Facts<'_>, shares: impl IntoIterator<Item = (&'a str, f64)>) -> Estimate {
    parts(facts, shares, None, None)
}

/// Of a stage that puts sets together, with so many rows in all.
pub fn together(most: Option<f64>) -> Estimate {
    let rows = Extent { rows: most, ..Extent::default() };
    let unknown = "the lengths of mixed rows, and how many there will be unless `rows` says so, are unknown";
    Estimate { notes: vec![unknown.to_owned()], ..Estimate::default() }.making("rows", rows)
}

fn parts<'a>(
    facts: &Facts<'_>,
    shares: impl IntoIterator<Item = (&'a str, f64)>,
    most: Option<f64>,
    note: Option<&str>,
) -> Estimate {
    let data = facts.input("data").cloned().unwrap_or_default();
    let rows = match (data.rows, most) {
        (Some(rows), most) => Some(rows.min(most.unwrap_or(rows))),
        (None, most) => most,
    };
    let mut notes: Vec<String> = note.map(str::to_owned).into_iter().collect();
    if rows.is_none() {
        notes = vec!["how many rows there are is unknown".to_owned()];
    }
    let tokens = data.prompt.zip(data.answer).map(|(prompt, answer)| prompt.mean + answer.mean);
    if tokens.is_none() {
        notes.push("the lengths of rows are unknown".to_owned());
    }
    if data.images.is_none_or(|images| images > 0.0) {
        notes.push("bytes are those of rows: images are not counted".to_owned());
    }
    let mut estimate = Estimate { notes, checkpoint_bytes: Some(0), ..Estimate::default() };
    let mut written = 0.0;
    for (port, share) in shares {
        written += share;
        estimate = estimate.making(port, Extent { rows: rows.map(|rows| (rows * share).round()), ..data.clone() });
    }
    let bytes = rows.zip(tokens).map(|(rows, tokens)| whole(rows * written * tokens * TEXT));
    Estimate { output_bytes: bytes, ..estimate }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use curricle_engine::stage::{Length, Runtime};

    use super::*;

    fn data() -> Extent {
        let (prompt, answer) = (Some(Length::always(60.0)), Some(Length::always(40.0)));
        Extent { rows: Some(1000.0), prompt, answer, images: Some(0.0), ..Extent::default() }
    }

    fn of(data: Extent, estimate: impl Fn(&Facts<'_>) -> Estimate) -> Estimate {
        let inputs = BTreeMap::from([("data".to_owned(), data)]);
        estimate(&Facts { inputs: &inputs, runtime: &Runtime::default(), threads: 1, gpu: false })
    }

    #[test]
    fn rows_keep_their_lengths_and_are_at_most_what_came() {
        let found = of(data(), |facts| some(facts, Some(200.0)));
        assert_eq!((found.makes["rows"].rows, found.makes["rows"].prompt), (Some(200.0), data().prompt));
        assert_eq!((found.output_bytes, found.notes.len()), (Some(200 * 100 * 4), 1));
        assert_eq!(of(data(), |facts| some(facts, Some(9e9))).makes["rows"].rows, Some(1000.0));
        let found = of(data(), all);
        assert_eq!((found.makes["rows"].rows, found.notes.len()), (Some(1000.0), 0));
        let found = of(data(), |facts| shares(facts, [("train", 0.9), ("test", 0.05)]));
        assert_eq!([&found.makes["train"], &found.makes["test"]].map(|part| part.rows), [Some(900.0), Some(50.0)]);
        assert_eq!(found.output_bytes, Some(950 * 100 * 4));
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let found = of(Extent::default(), |facts| some(facts, None));
        assert_eq!((found.makes["rows"].rows, found.output_bytes, found.work()), (None, None, None));
        let notes = ["how many rows there are is unknown", "the lengths of rows are unknown"];
        assert_eq!(found.notes[..2], notes);
        assert!(found.notes[2].contains("images are not counted"));
        assert_eq!(of(Extent::default(), |facts| some(facts, Some(7.0))).makes["rows"].rows, Some(7.0));
        assert_eq!(together(Some(5.0)).makes["rows"].rows, Some(5.0));
    }
}
