use super::*;
use crate::curation::bench::Bench;

#[test]
fn kept_sets_are_inputs() {
    let params = Params { against: vec!["math500".into(), "aime".into()], ..Params::default() };
    let inputs = Decontaminate::ports(&params).inputs;
    assert_eq!(inputs.iter().map(|port| &*port.name).collect::<Vec<_>>(), ["data", "math500", "aime"]);
    assert!(inputs.iter().all(|port| !port.trains && port.required));
    let mistakes = |json: &str| {
        let mut problems = Problems::default();
        Decontaminate::validate(&serde_json::from_str(json).unwrap(), &mut problems);
        problems.into_vec().into_iter().map(|problem| format!("{:?}", problem.at)).collect::<Vec<_>>()
    };
    assert!(mistakes("{}").is_empty());
    assert_eq!(mistakes(r#"{"against": [], "run": 2}"#), [r#"Param("against")"#, r#"Param("run")"#]);
    assert_eq!(mistakes(r#"{"against": ["data"], "share": 2}"#), [r#"Param("against")"#, r#"Param("share")"#]);
}

#[test]
fn rows_that_are_kept_for_measuring_go_and_the_evidence_stays() {
    let bench = Bench::new();
    let text = "Natalia sold clips to 48 of her friends in April, and then 24 in May. How many did she sell?";
    let row = |id: &str, prompt: &str| format!("{{\"id\": \"{id}\", \"prompt\": \"{prompt}\"}}\n");
    bench.rows("first", &(row("q1", text) + &row("q2", "What is 2 + 3?")));
    bench.rows("second", &row("q1", "Which planet has the most moons?"));
    let rows = [
        row("a", "What is 2 + 4?"),
        row("b", "what is 2 + 3"),
        row("c", "In May 24 and in April 48: how many clips did Natalia sell to her friends?"),
        row("d", "Which planet has the most moons, and why?"),
        row("e", "Which planet is the largest?"),
    ];
    bench.rows("data", &rows.concat());
    let params = Params { against: vec!["first".into(), "second".into()], ..Params::default() };
    bench.run::<Decontaminate>(&params).unwrap();
    assert_eq!(bench.ids("rows"), ["a", "e"]);
    let dropped: Vec<_> = bench.dropped().into_iter().map(|row| (row.id, row.reason, row.other.unwrap())).collect();
    let expected = [("b", "text", "first:q2"), ("c", "numbers", "first:q1"), ("d", "words", "second:q1")];
    assert_eq!(dropped, expected.map(|(id, reason, other)| (id.to_owned(), reason.to_owned(), other.to_owned())));
    let counts = bench.counts();
    let titles: Vec<_> = counts.tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles, ["kept sets", "shares in runs of 13 words", "pairs, to judge the signs by"]);
    assert_eq!(counts.tables[0].cells[1][..3], ["first", "2", "2"]);
    assert_eq!(counts.tables[1].cells.len(), 11);
    assert_eq!(counts.tables[2].cells.len(), 4);
    assert_eq!(counts.tables[2].cells[3][5], text.chars().take(80).collect::<String>() + "…");
}
