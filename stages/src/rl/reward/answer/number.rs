//! Normalised text → an exact rational, if it is arithmetic on numbers: `-3/4`, `\frac{1}{2}`, `1\frac12`, `1 1/2`,
//! `0.50`, `50%`, `1,000`, `10^{3}`, `5:3`.
//!
//! Anything else, and anything that does not fit 128 bits, is `None`. Knows no symbols and no rounding.

/// A fraction in lowest terms with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    numerator: i128,
    denominator: i128,
}

/// Deepest nesting of braces and brackets.
const MAX_DEPTH: usize = 16;
/// Largest exponent: enough for answers, and never slow.
const MAX_EXPONENT: i128 = 64;

impl Ratio {
    fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 || numerator == i128::MIN || denominator == i128::MIN {
            return None;
        }
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs()) as i128 * denominator.signum();
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    fn whole(value: i128) -> Self {
        Self { numerator: value, denominator: 1 }
    }

    fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Self::new(left.checked_add(right)?, self.denominator.checked_mul(other.denominator)?)
    }

    fn times(self, other: Self) -> Option<Self> {
        Self::new(self.numerator.checked_mul(other.numerator)?, self.denominator.checked_mul(other.denominator)?)
    }

    fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.denominator, other.numerator)?)
    }

    fn negated(self) -> Self {
        Self { numerator: -self.numerator, ..self }
    }

    fn power(self, exponent: Self) -> Option<Self> {
        if exponent.denominator != 1 || exponent.numerator.abs() > MAX_EXPONENT {
            return None;
        }
        let mut result = Self::whole(1);
        for _ in 0..exponent.numerator.abs() {
            result = result.times(self)?;
        }
        if exponent.numerator < 0 { Self::whole(1).over(result) } else { Some(result) }
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// The value of normalised text, if all of it is arithmetic on numbers.
pub(super) fn parse(text: &str) -> Option<Ratio> {
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.sum()?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Option<Ratio> {
        let mut value = self.product()?;
        loop {
            if self.take("+") {
                value = value.plus(self.product()?)?;
            } else if self.take("-") {
                value = value.plus(self.product()?.negated())?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<Ratio> {
        let mut value = self.signed()?;
        loop {
            if self.take("*") {
                value = value.times(self.signed()?)?;
            } else if self.take("/") || self.take(":") {
                value = value.over(self.signed()?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn signed(&mut self) -> Option<Ratio> {
        if self.take("-") {
            return Some(self.power()?.negated());
        }
        self.take("+");
        self.power()
    }

    fn power(&mut self) -> Option<Ratio> {
        let base = self.atom()?;
        let mut value = if self.take("^") { base.power(self.argument()?)? } else { base };
        while self.take("%") {
            value = value.over(Ratio::whole(100))?;
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<Ratio> {
        if self.take(r"\frac") {
            let numerator = self.argument()?;
            return numerator.over(self.argument()?);
        }
        if self.take("(") {
            return self.nested(")");
        }
        let whole = self.decimal()?;
        self.mixed(whole)
    }

    /// A fraction right after a whole number is added to it: `1\frac{1}{2}`, `1 1/2`.
    fn mixed(&mut self, whole: Ratio) -> Option<Ratio> {
        if self.rest.starts_with(r"\frac") {
            let fraction = self.atom()?;
            return if whole.denominator == 1 { whole.plus(fraction) } else { None };
        }
        if self.take(" ") {
            let numerator = self.decimal()?;
            if !self.take("/") || whole.denominator != 1 {
                return None;
            }
            return whole.plus(numerator.over(self.decimal()?)?);
        }
        Some(whole)
    }

    /// The argument of a macro or of `^`: braces, or one digit.
    fn argument(&mut self) -> Option<Ratio> {
        if self.take("{") {
            return self.nested("}");
        }
        let digit = self.rest.chars().next()?.to_digit(10)?;
        self.rest = &self.rest[1..];
        Some(Ratio::whole(i128::from(digit)))
    }

    fn nested(&mut self, close: &str) -> Option<Ratio> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = self.sum()?;
        self.depth -= 1;
        self.take(close).then_some(value)
    }

    /// `12`, `1,234,567`, `0.5`, `.5`, `3.`
    fn decimal(&mut self) -> Option<Ratio> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.').unwrap_or(self.rest.len());
        let (written, rest) = self.rest.split_at(end);
        let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
        if (whole.is_empty() && fraction.is_empty()) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = grouped(whole)? + fraction;
        self.rest = rest;
        Ratio::new(digits.parse().ok()?, 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)
    }
}

/// Digits without the commas of well-formed groups of three; `None` if the commas separate something else.
fn grouped(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    if whole.contains(',') && !(1..=3).contains(&first.len()) {
        return None;
    }
    groups.all(|group| group.len() == 3).then(|| whole.replace(',', ""))
}
