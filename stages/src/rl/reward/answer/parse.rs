//! Tokens → a tree. `None` for what is not mathematics as answers are written; the caller compares that as text.

use super::lex::{Kind, Token};
use super::node::{Node, Number};
use super::words;

/// Deepest nesting of brackets, braces and arguments.
const MAX_DEPTH: usize = 48;
/// Most operations that put one more level around what stands left of them: `a/b/c`, `a!!`, `a ± b ± c`.
const MAX_LEVELS: usize = 64;

/// Reads all of an answer.
pub(super) fn parse(tokens: &[Token]) -> Option<Node> {
    let mut parser = Parser { tokens, at: 0, depth: 0, levels: 0, bars: 0 };
    let node = parser.list()?;
    (parser.at == tokens.len()).then_some(node)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    levels: usize,
    /// Open `|`, in which the next `|` closes.
    bars: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn sees(&self, sign: char) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.is(sign))
    }

    fn sees_any(&self, signs: &str) -> Option<char> {
        match self.peek() {
            Some(Kind::Sign(sign)) if signs.contains(*sign) => Some(*sign),
            _ => None,
        }
    }

    fn eat(&mut self, sign: char) -> bool {
        let found = self.sees(sign);
        self.at += usize::from(found);
        found
    }

    fn eat_any(&mut self, signs: &str) -> Option<char> {
        let found = self.sees_any(signs);
        self.at += usize::from(found.is_some());
        found
    }

    /// Reads something below the current level.
    fn below(&mut self, read: impl FnOnce(&mut Self) -> Option<Node>) -> Option<Node> {
        self.depth += 1;
        let node = if self.depth > MAX_DEPTH { None } else { read(self) };
        self.depth -= 1;
        node
    }

    /// Counts one more level; `None` beyond the limit.
    fn level(&mut self) -> Option<()> {
        self.levels += 1;
        (self.levels <= MAX_LEVELS).then_some(())
    }

    /// One thing, or several between commas.
    fn list(&mut self) -> Option<Node> {
        let mut items = self.items()?;
        if items.len() == 1 { items.pop() } else { Some(Node::List(items)) }
    }

    fn items(&mut self) -> Option<Vec<Node>> {
        let mut items = vec![self.relation()?];
        while self.eat_any(",;").is_some() {
            // `1, 2, and 3` has two separators in a row.
            while self.eat_any(",;").is_some() {}
            items.push(self.relation()?);
        }
        Some(items)
    }

    fn relation(&mut self) -> Option<Node> {
        // `= 5` and `≈ 5` say no more than `5`.
        self.eat_any("=≈");
        let first = self.union()?;
        let (mut sides, mut signs) = (vec![first], Vec::new());
        while let Some(sign) = self.eat_any("=<>≤≥≠∈≈") {
            signs.push(sign);
            sides.push(self.union()?);
        }
        if signs.is_empty() { sides.pop() } else { Some(Node::Relation(sides, signs)) }
    }

    fn union(&mut self) -> Option<Node> {
        let mut sets = vec![self.ratios()?];
        while self.eat('∪') {
            sets.push(self.ratios()?);
        }
        if sets.len() == 1 { sets.pop() } else { Some(Node::Union(sets)) }
    }

    fn ratios(&mut self) -> Option<Node> {
        let mut terms = vec![self.sum()?];
        while self.eat(':') {
            terms.push(self.sum()?);
        }
        match terms.len() {
            1 => terms.pop(),
            2 => Some(Node::Quotient(Box::new(terms.remove(0)), Box::new(terms.remove(0)))),
            _ => Some(Node::Ratios(terms)),
        }
    }

    fn sum(&mut self) -> Option<Node> {
        let mut terms = vec![self.signed()?];
        while let Some(sign) = self.eat_any("+-±∓") {
            let term = self.term_after_sign()?;
            match sign {
                '+' => terms.push(term),
                '-' => terms.push(Node::Negative(Box::new(term))),
                _ => {
                    self.level()?;
                    let before = sum_of(std::mem::take(&mut terms));
                    terms.push(Node::PlusMinus(Some(Box::new(before)), Box::new(term), sign == '∓'));
                }
            }
        }
        Some(sum_of(terms))
    }

    /// After `+`, another sign may stand: `3+-4`.
    fn term_after_sign(&mut self) -> Option<Node> {
        if self.sees_any("+-").is_some() { self.below(Self::signed) } else { self.term() }
    }

    fn signed(&mut self) -> Option<Node> {
        match self.eat_any("+-±∓") {
            None | Some('+') if self.sees_any("+-±∓").is_none() => self.term(),
            Some('-') => Some(Node::Negative(Box::new(self.below(Self::signed)?))),
            Some('+') => self.below(Self::signed),
            Some(sign) => Some(Node::PlusMinus(None, Box::new(self.below(Self::signed)?), sign == '∓')),
            None => None,
        }
    }

    fn term(&mut self) -> Option<Node> {
        let mut term = self.factor()?;
        loop {
            if self.eat('*') {
                term = times(term, self.signed_factor()?);
            } else if self.eat('/') {
                self.level()?;
                term = Node::Quotient(Box::new(term), Box::new(self.signed_factor()?));
            } else if self.starts_factor() {
                term = times(term, self.factor()?);
            } else {
                return Some(term);
            }
        }
    }

    fn signed_factor(&mut self) -> Option<Node> {
        if self.eat('-') {
            return Some(Node::Negative(Box::new(self.below(Self::signed_factor)?)));
        }
        self.eat('+');
        self.factor()
    }

    /// May something be multiplied here without a sign? Two numbers side by side are none.
    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(Kind::Letter(_) | Kind::Name(_) | Kind::Begin(_) | Kind::Sign('(' | '[' | '{' | '⌊' | '⌈')) => {
                true
            }
            Some(Kind::Sign('|')) => self.bars == 0,
            Some(Kind::Number(_)) => !matches!(
                self.at.checked_sub(1).and_then(|before| self.tokens.get(before)).map(|token| &token.kind),
                Some(Kind::Number(_))
            ),
            _ => false,
        }
    }

    fn factor(&mut self) -> Option<Node> {
        let mut node = self.below(Self::atom)?;
        loop {
            node = if self.eat('^') {
                Node::Power(Box::new(node), Box::new(self.below(Self::exponent)?))
            } else if self.eat('!') {
                Node::Call("!".into(), vec![node])
            } else if self.eat('%') {
                Node::Percent(Box::new(node))
            } else if self.eat('°') {
                Node::Degrees(Box::new(node))
            } else {
                return Some(node);
            };
            self.level()?;
        }
    }

    fn exponent(&mut self) -> Option<Node> {
        match self.eat_any("+-") {
            Some('-') => Some(Node::Negative(Box::new(self.below(Self::exponent)?))),
            Some(_) => self.below(Self::exponent),
            None => self.atom(),
        }
    }

    fn atom(&mut self) -> Option<Node> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        match &token.kind {
            Kind::Number(written) => self.number(written),
            Kind::Letter(letter) => self.variable(&letter.to_string()),
            Kind::Name(name) => self.named(name),
            Kind::Text(text) => Some(Node::Text(text.clone())),
            Kind::Begin(is_determinant) => {
                let matrix = self.matrix()?;
                Some(if *is_determinant { Node::Call("det".into(), vec![matrix]) } else { matrix })
            }
            Kind::End => None,
            Kind::Sign(sign) => match sign {
                '(' | '[' => self.bracketed(*sign),
                '⦃' => self.set(),
                '{' => {
                    let bars = std::mem::take(&mut self.bars);
                    let node = self.list()?;
                    self.bars = bars;
                    self.eat('}').then_some(node)
                }
                '|' => self.enclosed('|', "abs"),
                '⌊' => self.enclosed('⌋', "floor"),
                '⌈' => self.enclosed('⌉', "ceil"),
                '∞' => Some(Node::Infinity),
                _ => None,
            },
        }
    }

    fn number(&mut self, written: &str) -> Option<Node> {
        if self.eat('_') {
            return Some(Node::Based(written.to_owned(), self.subscript()?));
        }
        let number = Number::new(written);
        if !number.is_whole() {
            return Some(Node::Number(number));
        }
        self.mixed(Node::Number(number))
    }

    /// A proper fraction right after a whole number is added to it: `1\frac{1}{2}`, `1 1/2`.
    fn mixed(&mut self, whole: Node) -> Option<Node> {
        let start = self.at;
        let fraction = match self.tokens.get(self.at..) {
            Some([first, ..]) if first.kind == Kind::Name("frac".into()) => self.below(Self::atom)?,
            Some(
                [Token { kind: Kind::Number(over), spaced: true }, slash, Token { kind: Kind::Number(under), .. }, ..],
            ) if slash.is('/') => {
                self.at += 3;
                let [over, under] = [over, under].map(|part| Box::new(Node::Number(Number::new(part))));
                Node::Quotient(over, under)
            }
            _ => return Some(whole),
        };
        let is_proper = match &fraction {
            Node::Quotient(over, under) => match (over.as_ref(), under.as_ref()) {
                (Node::Number(over), Node::Number(under)) => {
                    over.is_whole() && under.is_whole() && over.value < under.value
                }
                _ => false,
            },
            _ => false,
        };
        if is_proper {
            return Some(Node::Sum(vec![whole, fraction]));
        }
        self.at = start;
        Some(whole)
    }

    /// What stands below a number or a letter, as text.
    fn subscript(&mut self) -> Option<String> {
        let mut text = String::new();
        let braced = self.eat('{');
        loop {
            match self.peek() {
                Some(Kind::Number(part) | Kind::Name(part) | Kind::Text(part)) => text += part,
                Some(Kind::Letter(letter)) => text.push(*letter),
                Some(Kind::Sign(sign @ ('+' | '-' | ',' | '*'))) if braced => text.push(*sign),
                _ => break,
            }
            self.at += 1;
            if !braced {
                break;
            }
        }
        ((!braced || self.eat('}')) && !text.is_empty()).then_some(text)
    }

    fn variable(&mut self, name: &str) -> Option<Node> {
        if self.eat('_') {
            return Some(Node::Variable(format!("{name}_{}", self.subscript()?)));
        }
        let mut primes = String::new();
        while self.eat_any("'’′").is_some() {
            primes.push('\'');
        }
        Some(match name {
            "e" if primes.is_empty() => Node::Euler,
            "i" if primes.is_empty() => Node::Imaginary,
            _ => Node::Variable(format!("{name}{primes}")),
        })
    }

    fn named(&mut self, name: &str) -> Option<Node> {
        match name {
            "pi" => Some(Node::Pi),
            "frac" => {
                let over = self.argument()?;
                Some(Node::Quotient(Box::new(over), Box::new(self.argument()?)))
            }
            "binom" => {
                let n = self.argument()?;
                Some(Node::Call("binom".into(), vec![n, self.argument()?]))
            }
            "sqrt" => self.root(),
            "emptyset" => Some(Node::Set(Vec::new())),
            "reals" => {
                let infinity = || Box::new(Node::Infinity);
                Some(Node::Tuple('(', vec![Node::Negative(infinity()), Node::Infinity], ')'))
            }
            "overline" | "vec" | "hat" | "bar" | "angle" | "triangle" | "widehat" | "overrightarrow" => {
                let inner = self.argument()?;
                inner.is_name().then(|| Node::Variable(format!("{name} {inner:?}")))
            }
            _ if words::is_function(name) => self.function(name),
            _ => self.variable(&format!("\\{name}")),
        }
    }

    /// An argument of a macro: braces, or the one thing that follows.
    fn argument(&mut self) -> Option<Node> {
        self.below(Self::atom)
    }

    fn root(&mut self) -> Option<Node> {
        let mut index = Node::Number(Number::new("2"));
        if self.eat('[') {
            index = self.below(Self::sum)?;
            if !self.eat(']') {
                return None;
            }
        }
        Some(Node::Root(Box::new(index), Box::new(self.argument()?)))
    }

    /// `\sin x`, `\sin^2 x`, `\log_2 8`, `\sin(x)`, `\max(1, 2)`.
    fn function(&mut self, name: &str) -> Option<Node> {
        let (mut power, mut base) = (None, None);
        loop {
            if power.is_none() && self.eat('^') {
                power = Some(self.below(Self::exponent)?);
            } else if base.is_none() && self.eat('_') {
                base = Some(self.below(Self::atom)?);
            } else {
                break;
            }
        }
        let mut arguments = match self.peek() {
            Some(Kind::Sign('(' | '{' | '[')) => match self.below(Self::atom)? {
                Node::Tuple(_, items, _) | Node::List(items) => items,
                one => vec![one],
            },
            _ => vec![self.bare_argument()?],
        };
        arguments.extend(base);
        let call = Node::Call(name.to_owned(), arguments);
        Some(match power {
            Some(power) => Node::Power(Box::new(call), Box::new(power)),
            None => call,
        })
    }

    /// The factors after a function's name, up to a sign or the next function: `\sin 2x`.
    fn bare_argument(&mut self) -> Option<Node> {
        let mut argument = self.factor()?;
        while self.starts_factor() && !matches!(self.peek(), Some(Kind::Name(name)) if words::is_function(name)) {
            argument = times(argument, self.factor()?);
        }
        Some(argument)
    }

    fn bracketed(&mut self, open: char) -> Option<Node> {
        let bars = std::mem::take(&mut self.bars);
        let mut items = self.items()?;
        self.bars = bars;
        let close = self.eat_any(")]")?;
        if items.len() > 1 {
            return Some(Node::Tuple(open, items, close));
        }
        if matches!((open, close), ('(', ')') | ('[', ']')) { items.pop() } else { None }
    }

    /// `\{1, 2\}`, or `\{x | x > 2\}`, which is its condition.
    fn set(&mut self) -> Option<Node> {
        if self.eat('⦄') {
            return Some(Node::Set(Vec::new()));
        }
        let bars = std::mem::replace(&mut self.bars, 1);
        let mut items = self.items()?;
        if self.eat_any("|:").is_some() {
            items = vec![self.relation()?];
            self.bars = bars;
            return if self.eat('⦄') { items.pop() } else { None };
        }
        self.bars = bars;
        self.eat('⦄').then_some(Node::Set(items))
    }

    fn enclosed(&mut self, close: char, name: &str) -> Option<Node> {
        let bars = std::mem::replace(&mut self.bars, usize::from(close == '|'));
        let inner = self.sum()?;
        self.bars = bars;
        self.eat(close).then(|| Node::Call(name.into(), vec![inner]))
    }

    fn matrix(&mut self) -> Option<Node> {
        let mut rows = vec![Vec::new()];
        loop {
            if self.peek() == Some(&Kind::End) {
                break;
            }
            if self.eat('\n') {
                rows.push(Vec::new());
                continue;
            }
            let cell = self.below(Self::sum)?;
            rows.last_mut()?.push(cell);
            self.eat('&');
        }
        self.at += 1;
        rows.retain(|row| !row.is_empty());
        (!rows.is_empty()).then_some(Node::Matrix(rows))
    }
}

fn sum_of(mut terms: Vec<Node>) -> Node {
    if terms.len() == 1 { terms.remove(0) } else { Node::Sum(terms) }
}

fn times(left: Node, right: Node) -> Node {
    match left {
        Node::Product(mut factors) => {
            factors.push(right);
            Node::Product(factors)
        }
        left => Node::Product(vec![left, right]),
    }
}
