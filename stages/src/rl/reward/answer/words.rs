//! The vocabulary of answers: which macros, functions, letters and units there are. Tables only.

/// Macros that say nothing about a value.
pub(super) const IGNORED: &[&str] = &[
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "displaystyle",
    "textstyle",
    "limits",
    "boxed",
    "fbox",
    "quad",
    "qquad",
    "space",
    "rm",
    "bf",
    "it",
    "hfill",
    "thinspace",
    "ensuremath",
];

/// Macros that set their argument as text.
pub(super) const TEXT: &[&str] = &[
    "text",
    "mbox",
    "textbf",
    "textit",
    "textrm",
    "textnormal",
    "texttt",
    "textsf",
    "mathrm",
    "mathbf",
    "mathit",
    "mathsf",
    "operatorname",
    "hbox",
    "boldsymbol",
    "bold",
    "emph",
];

/// Functions, as macros and as plain words.
const FUNCTIONS: &[&str] = &[
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "lg",
    "exp", "gcd", "lcm", "max", "min", "det", "arg",
];

/// Is this the name of a function?
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// Does an argument in degrees mean something to this function?
pub(super) fn is_trigonometric(name: &str) -> bool {
    ["sin", "cos", "tan", "cot", "sec", "csc"].contains(&name)
}

/// Macros that are one sign.
pub(super) fn sign(name: &str) -> Option<char> {
    Some(match name {
        "cdot" | "times" | "ast" => '*',
        "div" => '/',
        "le" | "leq" | "leqslant" | "leqq" => '≤',
        "ge" | "geq" | "geqslant" | "geqq" => '≥',
        "lt" => '<',
        "gt" => '>',
        "ne" | "neq" => '≠',
        "approx" | "simeq" | "equiv" => '≈',
        "pm" => '±',
        "mp" => '∓',
        "cup" | "bigcup" => '∪',
        "cap" | "bigcap" => '∩',
        "in" => '∈',
        "infty" | "infin" => '∞',
        "colon" => ':',
        "mid" | "vert" | "lvert" | "rvert" | "Vert" => '|',
        "lbrace" => '⦃',
        "rbrace" => '⦄',
        "lbrack" => '[',
        "rbrack" => ']',
        "langle" | "lparen" => '(',
        "rangle" | "rparen" => ')',
        "lfloor" => '⌊',
        "rfloor" => '⌋',
        "lceil" => '⌈',
        "rceil" => '⌉',
        _ => return None,
    })
}

/// The macro of a Greek letter.
pub(super) fn greek(letter: char) -> Option<&'static str> {
    Some(match letter {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'π' => "pi",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'φ' => "phi",
        'ω' => "omega",
        'Δ' => "Delta",
        'Ω' => "Omega",
        _ => return None,
    })
}

/// Macros that stand for themselves.
const NAMES: &[&str] = &[
    "frac",
    "dfrac",
    "tfrac",
    "cfrac",
    "sqrt",
    "binom",
    "pi",
    "theta",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "lambda",
    "mu",
    "phi",
    "rho",
    "sigma",
    "omega",
    "circ",
    "degree",
    "angle",
    "triangle",
    "mathbb",
    "emptyset",
    "varnothing",
    "overline",
    "begin",
    "end",
];

/// Is this macro known, so that letters after it are not part of its name?
pub(super) fn is_macro(name: &str) -> bool {
    [IGNORED, TEXT, FUNCTIONS, NAMES].iter().any(|list| list.contains(&name)) || sign(name).is_some()
}

/// Units by their first spelling; each line is one unit. Different lines are never the same.
const UNITS: &[&[&str]] = &[
    &["mm", "millimeter", "millimetre"],
    &["cm", "centimeter", "centimetre"],
    &["m", "meter", "metre"],
    &["km", "kilometer", "kilometre"],
    &["in", "inch", "inche"],
    &["ft", "feet", "foot"],
    &["yd", "yard"],
    &["mi", "mile"],
    &["mg", "milligram"],
    &["g", "gram"],
    &["kg", "kilogram"],
    &["lb", "pound"],
    &["oz", "ounce"],
    &["ml", "mL", "milliliter", "millilitre"],
    &["l", "L", "liter", "litre"],
    &["ms", "millisecond"],
    &["s", "sec", "second"],
    &["min", "minute"],
    &["h", "hr", "hour"],
    &["day"],
    &["week"],
    &["month"],
    &["yr", "year"],
    &["cent", "¢"],
    &["dollar", "USD"],
    &["degree"],
    &["radian", "rad"],
    &["mph"],
    &["kmh", "kph"],
    &["am", "a.m", "a.m."],
    &["pm", "p.m", "p.m."],
    &["sq", "square"],
    &["cubic", "cu"],
];

/// The first spelling of a unit; `None` if it is not in the table.
pub(super) fn unit(word: &str) -> Option<&'static str> {
    let find = |word: &str| UNITS.iter().find(|spellings| spellings.contains(&word)).map(|spellings| spellings[0]);
    let lower = word.to_lowercase();
    find(word).or_else(|| find(&lower)).or_else(|| find(lower.strip_suffix('s')?))
}

/// May this stand directly behind a number as a unit? Only what can't be read as a product of variables.
pub(super) fn is_unit(word: &str) -> bool {
    word.len() > 1 && unit(word).is_some()
}
