use std::time::{Duration, Instant};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

/// What one call may take, in a build without optimisation on a machine with other work to do.
const LIMIT: Duration = Duration::from_secs(5);

/// Pieces that random answers are made of.
const PIECES: &[&str] = &[
    "0",
    "1",
    "12",
    "3.5",
    ".5",
    "1,234",
    "x",
    "y",
    "e",
    "i",
    "ab",
    "cm",
    "\\pi",
    "\\frac",
    "\\frac{1}{2}",
    "\\sqrt",
    "\\sqrt[3]",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\\{",
    "\\}",
    "|",
    "^",
    "_",
    "^{",
    "+",
    "-",
    "*",
    "/",
    "=",
    "<",
    "\\le",
    ">",
    "\\neq",
    "\\in",
    "\\cup",
    "\\pm",
    "\\mp",
    ",",
    ";",
    ":",
    "!",
    "%",
    "\\%",
    "^\\circ",
    "°",
    "\\infty",
    "\\text{",
    "\\text{ cm}",
    "\\text{and}",
    "and",
    " or ",
    "\\sin",
    "\\log_",
    "\\left",
    "\\right",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\\\",
    "&",
    " ",
    "\\,",
    "\\!",
    "$",
    "\\$",
    "½",
    "²",
    "−",
    "√",
    "é",
    "\\overline{3}",
    "0.",
    "e5",
    "\\boxed{",
    "'",
    ".",
    "\\binom",
    "\\mathbb{R}",
    "\\emptyset",
    "\\lfloor",
    "\\rfloor",
    "\\unknown",
    "\\",
    "\n",
];

fn timed(gold: &str, found: &str) -> bool {
    let start = Instant::now();
    let verdict = equal(gold, found);
    matches(gold, &[found.to_owned()], found);
    boxed(found);
    let took = start.elapsed();
    let head = |text: &str| text.chars().take(80).collect::<String>();
    assert!(took < LIMIT, "{took:?} for `{}` and `{}`", head(gold), head(found));
    verdict
}

#[test]
fn random_answers_neither_panic_nor_hang() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut answer = |most: usize| -> String {
        let count = rng.random_range(1..most);
        (0..count).map(|_| PIECES[rng.random_range(0..PIECES.len())]).collect()
    };
    for round in 0..4000 {
        let most = if round % 40 == 0 { 600 } else { 12 };
        let (gold, found) = (answer(most), answer(most));
        timed(&gold, &found);
        timed(&gold, &gold);
    }
}

#[test]
fn mutated_answers_neither_panic_nor_hang() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for row in judged() {
        let (gold, found) = (text(&row, "gold"), text(&row, "pred"));
        for _ in 0..8 {
            let mut chars: Vec<char> = found.chars().collect();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..=chars.len());
                match rng.random_range(0..3) {
                    0 if at < chars.len() => drop(chars.remove(at)),
                    1 if at < chars.len() => chars.swap(at, 0),
                    _ => chars.insert(at, ['{', '}', '\\', '(', '^', '1', ',', '-'][rng.random_range(0..8)]),
                }
            }
            timed(gold, &chars.iter().collect::<String>());
        }
    }
}

#[test]
fn deep_and_long_answers_neither_panic_nor_hang() {
    let pieces = [
        "(",
        "[",
        "{",
        "|",
        "-",
        "+-",
        "\\{",
        "((",
        "^{",
        "2^",
        "1/",
        "1!",
        "1%",
        "x±",
        "\\pm",
        "\\frac{",
        "\\frac",
        "\\sqrt{",
        "\\sqrt",
        "\\sin",
        "\\sin(",
        "\\text{",
        "\\text{1",
        "\\begin{pmatrix}",
        "\\begin{pmatrix}1&",
        "\\boxed{",
        "a,",
        "a,b;",
        "(a,",
        "x=",
        "x<",
        "1:",
        "x\\cup",
        "9",
        "9.",
        "\\",
        "\\\\",
        "\\a",
        "abcdefgh",
        "1 ",
        "1 234 ",
        "x_{",
        "x_",
        "'",
        "½",
        "²",
        "\\overline{",
        "0.\\overline{3}",
        "\\left(",
        "(1,2),",
        "\\{1,2\\},",
        "x!",
        "(x+1)",
        "\\lfloor",
        "é",
        "10^{",
        "10^9",
    ];
    for piece in pieces {
        for bytes in [400, MAX_BYTES, 100_000] {
            let long = piece.repeat(bytes / piece.len());
            let closed = format!("{long}1{}", "})]".repeat(20));
            let other = long.replace('1', "2").replace('a', "b");
            timed(&long, &other);
            timed(&long, &closed);
            timed(&closed, "1");
            timed("1", &format!(r"\boxed{{{long}}}"));
        }
    }
}

/// Many members in the worst order, and members that are lists.
#[test]
fn long_lists_end() {
    let list = |items: &mut dyn Iterator<Item = usize>, style: &dyn Fn(usize) -> String| {
        items.map(style).collect::<Vec<_>>().join(",")
    };
    let styles: [&dyn Fn(usize) -> String; 4] =
        [&|i| i.to_string(), &|i| format!("x_{{{i}}}"), &|i| format!("({i},y)"), &|i| format!(r"\sqrt{{{i}}}")];
    for style in styles {
        let (up, down) = (list(&mut (0..300), style), list(&mut (0..300).rev(), style));
        timed(&up, &down);
        timed(&format!(r"\{{{up}\}}"), &format!(r"\{{{down}\}}"));
    }
    assert!(timed(&list(&mut (10..110), styles[0]), &list(&mut (10..110).rev(), styles[0])));
}

#[test]
fn very_long_answers_are_compared_letter_by_letter() {
    let long = "1+".repeat(50_000) + "1";
    assert!(timed(&long, &long));
    assert!(!timed(&long, "50001"));
    assert!(timed("7", boxed(&format!(r"{}\boxed{{7}}", r"\boxed{".repeat(15_000))).unwrap()));
}
