//! An answer as written → tokens in one spelling: LaTeX, Unicode and plain text say the same thing the same way, and what
//! says nothing (sizes, spacing, dollar signs) is gone. Refuses to know grammar.

use super::words;

/// Text macros inside each other, at most.
const MAX_DEPTH: usize = 8;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits with at most one point, as [`super::ratio::Ratio::read`] reads them.
    Number(String),
    /// A variable of one letter.
    Letter(char),
    /// A macro, or a function's name, without its backslash.
    Name(String),
    /// Words: of a text macro, or plain.
    Text(String),
    /// `\begin{…}` and `\end{…}` of a matrix; `true` for a determinant.
    Begin(bool),
    /// See [`Kind::Begin`].
    End,
    /// Anything else. `≤ ≥ ≠ ≈ ± ∓ ∪ ∩ ∈ ∞ ° * / ⦃ ⦄ ⌊ ⌋ ⌈ ⌉` stand for all their spellings; `\n` ends a matrix row.
    Sign(char),
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Was there white space in front of it?
    pub(super) spaced: bool,
}

impl Token {
    pub(super) fn is(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }
}

/// The tokens of an answer, without punctuation at its end.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, tokens: Vec::new(), spaced: false, brackets: 0, single: 0, braces: Vec::new() };
    lexer.run(0);
    let mut tokens = lexer.tokens;
    while tokens.last().is_some_and(|token| [',', ';', '.'].iter().any(|&sign| token.is(sign))) {
        tokens.pop();
    }
    tokens
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
    spaced: bool,
    /// Open brackets that make a comma a separator.
    brackets: usize,
    /// Arguments that the last macro still takes, each one digit unless in braces: `\frac12`.
    single: usize,
    /// `single` outside of each open brace.
    braces: Vec<usize>,
}

impl<'a> Lexer<'a> {
    fn run(&mut self, depth: usize) {
        while let Some(c) = self.rest.chars().next() {
            if c == '\\' {
                self.backslash(depth);
            } else if c.is_ascii_digit() || (c == '.' && self.rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
                self.number();
            } else if c.is_alphabetic() {
                self.letters();
            } else {
                self.rest = &self.rest[c.len_utf8()..];
                self.sign(c);
            }
        }
    }

    fn push(&mut self, kind: Kind) {
        let spaced = std::mem::take(&mut self.spaced);
        self.tokens.push(Token { kind, spaced });
    }

    fn push_sign(&mut self, sign: char) {
        match sign {
            '(' | '[' | '⦃' => self.brackets += 1,
            ')' | ']' | '⦄' => self.brackets = self.brackets.saturating_sub(1),
            '{' => self.braces.push(std::mem::take(&mut self.single).saturating_sub(1)),
            '}' => self.single = self.braces.pop().unwrap_or(0),
            _ => {}
        }
        self.push(Kind::Sign(sign));
    }

    fn name(&mut self, name: &str) {
        self.single = self.single.saturating_sub(1);
        self.push(Kind::Name(name.to_owned()));
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn sign(&mut self, c: char) {
        let sign = match c {
            c if c.is_whitespace() || c == '~' => return self.spaced = true,
            '$' | '€' | '£' | '¥' | '₹' | '"' => return,
            '−' | '–' | '—' => '-',
            '×' | '·' | '⋅' | '∙' => '*',
            '*' => {
                if self.take("*") {
                    '^'
                } else {
                    '*'
                }
            }
            '÷' => '/',
            '≤' | '⩽' => '≤',
            '≥' | '⩾' => '≥',
            '<' if self.take("=") => '≤',
            '>' if self.take("=") => '≥',
            '!' if self.rest.trim_start().starts_with('=') => {
                self.rest = &self.rest.trim_start()[1..];
                '≠'
            }
            '˚' | 'º' => '°',
            '√' => {
                self.push(Kind::Name("sqrt".into()));
                return;
            }
            '∅' => return self.name("emptyset"),
            'ℝ' => return self.name("reals"),
            c => match superscript(c) {
                Some(first) => return self.superscript(first),
                None => match vulgar(c) {
                    Some((over, under)) => return self.fraction(over, under),
                    None => c,
                },
            },
        };
        self.push_sign(sign);
    }

    /// `x²` → `x^{2}`.
    fn superscript(&mut self, first: char) {
        let mut written = String::from(first);
        while let Some(digit) = self.rest.chars().next().and_then(superscript) {
            written.push(digit);
            self.rest = &self.rest[self.rest.chars().next().map_or(0, char::len_utf8)..];
        }
        self.push(Kind::Sign('^'));
        self.push(Kind::Sign('{'));
        if written.starts_with('-') {
            self.push(Kind::Sign('-'));
            written.remove(0);
        }
        self.push(Kind::Number(written));
        self.push(Kind::Sign('}'));
    }

    /// `½` → `\frac{1}{2}`.
    fn fraction(&mut self, over: &str, under: &str) {
        self.push(Kind::Name("frac".into()));
        for part in [over, under] {
            self.push(Kind::Sign('{'));
            self.push(Kind::Number(part.into()));
            self.push(Kind::Sign('}'));
        }
    }

    fn number(&mut self) {
        let after = self.tokens.last().is_some_and(|token| token.is('^') || token.is('_'));
        if self.single > 0 && !self.rest.starts_with('.') {
            self.single -= 1;
            let digit = self.rest[..1].to_owned();
            self.rest = &self.rest[1..];
            return self.push(Kind::Number(digit));
        }
        let mut written = String::new();
        // In a list without brackets, `99,100`, only a space tells where the next number starts.
        let listed = !self.spaced && self.tokens.last().is_some_and(|token| token.is(','));
        let comma_groups = self.brackets == 0 && !listed;
        if let Some((digits, taken)) = (!after).then(|| grouped(self.rest, comma_groups)).flatten() {
            written = digits;
            self.rest = &self.rest[taken..];
        } else {
            written += self.digits();
        }
        if self.rest.starts_with('.') && self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.rest = &self.rest[1..];
            written.push('.');
            written += self.digits();
        }
        self.period(&mut written);
        self.exponent(&mut written);
        self.push(Kind::Number(written));
    }

    fn digits(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits
    }

    /// `0.1\overline{6}`: digits under the bar repeat.
    fn period(&mut self, written: &mut String) {
        let period = ["\\overline{", "\\bar{"].iter().find_map(|bar| {
            let (digits, after) = self.rest.trim_start_matches('.').strip_prefix(bar)?.split_once('}')?;
            (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((digits, after))
        });
        let point = self.rest.starts_with('.');
        if let Some((digits, after)) = period
            && (point != written.contains('.'))
        {
            *written += &format!("{}({digits})", if point { "." } else { "" });
            self.rest = after;
        }
    }

    /// `6.02e23`, `1E-5`: no space, and nothing after it that would make `e` a factor.
    fn exponent(&mut self, written: &mut String) {
        let Some(rest) = self.rest.strip_prefix(['e', 'E']) else { return };
        let sign = usize::from(rest.starts_with(['-', '+']));
        let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let after = &rest[sign + digits..];
        if digits > 0 && digits < 4 && !after.starts_with(|c: char| c.is_alphanumeric() || c == '^') {
            *written += &format!("e{}", rest[..sign + digits].trim_start_matches('+'));
            self.rest = after;
        }
    }

    fn letters(&mut self) {
        let end = self.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.word(run);
    }

    /// A run of letters: a function, a constant, a word, a unit, or variables side by side.
    fn word(&mut self, run: &str) {
        let number_before = |token: &Token| matches!(token.kind, Kind::Number(_)) || token.is('}') || token.is(')');
        let follows = self.tokens.last().is_some_and(number_before);
        let is_long = run.chars().nth(3).is_some();
        match run {
            "pi" | "sqrt" => self.name(run),
            "inf" | "infty" | "infinity" | "Infinity" => self.push_sign('∞'),
            "and" | "or" if !self.tokens.is_empty() => self.push_sign(','),
            "percent" | "percentage" | "pct" if follows => self.push_sign('%'),
            "degree" | "degrees" if follows => self.push_sign('°'),
            "U" if self.is_between_brackets() => self.push_sign('∪'),
            _ if words::is_function(run) => self.name(run),
            _ if run.chars().nth(1).is_some() && (is_long || (follows && (self.spaced || words::is_unit(run)))) => {
                self.push(Kind::Text(run.to_owned()));
            }
            _ => {
                for c in run.chars() {
                    if let Some(name) = words::greek(c) {
                        self.name(name);
                    } else {
                        self.single = self.single.saturating_sub(1);
                        self.push(Kind::Letter(c));
                    }
                }
            }
        }
    }

    fn is_between_brackets(&self) -> bool {
        let closed = self.tokens.last().is_some_and(|token| token.is(')') || token.is(']') || token.is('⦄'));
        closed && self.rest.trim_start().starts_with(['(', '[', '\\'])
    }

    fn backslash(&mut self, depth: usize) {
        let after = &self.rest[1..];
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        if letters == 0 {
            let sign = after.chars().next();
            self.rest = &after[sign.map_or(0, char::len_utf8)..];
            return self.escaped(sign);
        }
        self.rest = after;
        self.macro_of(letters, depth);
    }

    /// The macro that starts here, of so many letters; fewer if it has letters glued to it: `\cotx`.
    fn macro_of(&mut self, letters: usize, depth: usize) {
        let (mut name, mut rest) = self.rest.split_at(letters);
        if !words::is_macro(name)
            && let Some(known) = (2..letters).rev().find(|&end| words::is_macro(&name[..end]))
        {
            (name, rest) = self.rest.split_at(known);
        }
        self.rest = rest;
        self.macro_named(name, depth);
    }

    /// A backslash before something that is no letter.
    fn escaped(&mut self, sign: Option<char>) {
        match sign {
            Some('{') => self.push_sign('⦃'),
            Some('}') => self.push_sign('⦄'),
            Some('%') => self.push_sign('%'),
            Some('|') => self.push_sign('|'),
            Some('&') => self.push_sign('&'),
            // Two backslashes: the end of a row, or one too many before a macro.
            Some('\\') if self.in_matrix() => self.push_sign('\n'),
            Some('\\') if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let letters = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
                self.macro_of(letters, MAX_DEPTH);
            }
            Some(',' | ';' | ':' | ' ' | '\n') => self.spaced = true,
            _ => {}
        }
    }

    fn in_matrix(&self) -> bool {
        let begun = self.tokens.iter().filter(|token| matches!(token.kind, Kind::Begin(_))).count();
        begun > self.tokens.iter().filter(|token| token.kind == Kind::End).count()
    }

    fn macro_named(&mut self, name: &str, depth: usize) {
        if words::IGNORED.contains(&name) {
            if matches!(name, "left" | "right") {
                self.take(".");
            }
            return self.spaced |= name.ends_with("quad") || name == "space";
        }
        if let Some(sign) = words::sign(name) {
            return self.push_sign(sign);
        }
        match name {
            "circ" | "degree" | "deg" => self.degrees(),
            "dfrac" | "tfrac" | "cfrac" | "frac" | "binom" | "dbinom" | "tbinom" => {
                self.name(name.trim_start_matches(['d', 't', 'c']));
                self.single = 2;
            }
            "sqrt" => {
                self.name(name);
                self.single = usize::from(!self.rest.trim_start().starts_with('['));
            }
            "begin" | "end" => self.environment(name == "begin"),
            "mathbb" => {
                let is_reals = self.argument().is_some_and(|argument| argument.trim() == "R");
                self.name(if is_reals { "reals" } else { "mathbb" });
            }
            "emptyset" | "varnothing" => self.name("emptyset"),
            _ if words::TEXT.contains(&name) => self.text(depth),
            _ => self.name(name),
        }
    }

    /// `^\circ` and `^{\circ}`: the power before it goes; its closing brace too.
    fn degrees(&mut self) {
        let pop = |tokens: &mut Vec<Token>, sign| {
            let found = tokens.last().is_some_and(|token| token.is(sign));
            if found {
                tokens.pop();
            }
            found
        };
        if pop(&mut self.tokens, '{') {
            self.single = self.braces.pop().unwrap_or(0);
            self.rest = self.rest.trim_start();
            self.take("}");
        }
        pop(&mut self.tokens, '^');
        self.push(Kind::Sign('°'));
    }

    fn environment(&mut self, begins: bool) {
        let name = self.argument().unwrap_or_default();
        if name.starts_with("array") {
            self.argument();
        }
        self.push(if begins { Kind::Begin(name.starts_with('v')) } else { Kind::End });
    }

    /// The text in the braces that follow; `None` if there are none.
    fn argument(&mut self) -> Option<&'a str> {
        let inner = self.rest.trim_start().strip_prefix('{')?;
        let close = super::boxed::closing_brace(inner)?;
        self.rest = &inner[close + 1..];
        Some(&inner[..close])
    }

    /// The argument of a text macro: words stay words, anything else is read as if the macro were not there.
    fn text(&mut self, depth: usize) {
        let Some(argument) = self.argument() else { return };
        self.spaced |= argument.starts_with(char::is_whitespace);
        let content = argument.trim().trim_end_matches(['.', ',']);
        let is_prose = |c: char| c.is_alphabetic() || c.is_whitespace() || "-'.".contains(c);
        let is_and = |word: &str| matches!(word, "and" | "or");
        if content.is_empty() {
            return;
        }
        if is_and(content.to_lowercase().as_str()) {
            return self.push_sign(',');
        }
        let has_and = content.split_whitespace().any(is_and);
        if content.chars().nth(1).is_none() || !content.chars().all(is_prose) || has_and || words::is_function(content)
        {
            if depth < MAX_DEPTH {
                let rest = std::mem::replace(&mut self.rest, argument);
                self.run(depth + 1);
                self.rest = rest;
            }
            return;
        }
        match content {
            "percent" | "percentage" | "pct" => self.push_sign('%'),
            "degree" | "degrees" => self.push_sign('°'),
            _ => self.push(Kind::Text(content.to_owned())),
        }
    }
}

/// Digits in groups of three, and how many bytes they take: `1,234`, `1{,}234`, `1,\!234`, `1\,234`, `1 234`. Between
/// brackets a bare comma separates numbers, so it does not group there.
fn grouped(text: &str, comma_groups: bool) -> Option<(String, usize)> {
    let count = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let first = count(text);
    let mut digits = text.get(..first).filter(|digits| (1..=3).contains(&digits.len()))?.to_owned();
    let rest = &text[first..];
    let separators = [",\\!", "{,}", "\\,", "\\ ", ",", " "];
    let separator = separators.into_iter().find(|separator| rest.starts_with(separator))?;
    if (separator == "," && !comma_groups) || (separator != "," && digits.starts_with('0')) {
        return None;
    }
    let mut taken = first;
    while let Some(rest) = text[taken..].strip_prefix(separator) {
        let spaces = if separator == ",\\!" { rest.len() - rest.trim_start().len() } else { 0 };
        let group = &rest[spaces..];
        if count(group) != 3 {
            break;
        }
        digits += &group[..3];
        taken += separator.len() + spaces + 3;
    }
    let after = &text.as_bytes()[taken..];
    let goes_on = match separator {
        "," => after.first() == Some(&b',') && after.get(1).is_some_and(u8::is_ascii_digit),
        " " => matches!(after.first(), Some(b'/' | b' ')) && after.iter().any(u8::is_ascii_digit),
        _ => false,
    };
    (taken > first && !goes_on).then_some((digits, taken))
}

fn superscript(c: char) -> Option<char> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁻".chars().zip("0123456789-".chars()).find(|(above, _)| *above == c).map(|(_, digit)| digit)
}

fn vulgar(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '½' => ("1", "2"),
        '⅓' => ("1", "3"),
        '⅔' => ("2", "3"),
        '¼' => ("1", "4"),
        '¾' => ("3", "4"),
        '⅕' => ("1", "5"),
        '⅖' => ("2", "5"),
        '⅗' => ("3", "5"),
        '⅘' => ("4", "5"),
        '⅙' => ("1", "6"),
        '⅚' => ("5", "6"),
        '⅛' => ("1", "8"),
        '⅜' => ("3", "8"),
        '⅝' => ("5", "8"),
        '⅞' => ("7", "8"),
        _ => return None,
    })
}
