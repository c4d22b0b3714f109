//! A number as written → an exact fraction, and arithmetic on such. What does not fit 128 bits is `None`, never rounded.

/// A fraction in lowest terms with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    pub(super) numerator: i128,
    pub(super) denominator: i128,
}

impl Ratio {
    pub(super) const ZERO: Self = Self::whole(0);
    pub(super) const ONE: Self = Self::whole(1);

    /// `None` for a denominator of 0, and where the lowest terms do not fit.
    pub(super) fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 || numerator == i128::MIN || denominator == i128::MIN {
            return None;
        }
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs()) as i128 * denominator.signum();
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    pub(super) const fn whole(value: i128) -> Self {
        Self { numerator: value, denominator: 1 }
    }

    /// Reads `12`, `0.50`, `.5`, `0.1(6)` (the bracketed digits repeat), `1.2e-3`.
    pub(super) fn read(written: &str) -> Option<Self> {
        let (figure, exponent) = written.split_once('e').unwrap_or((written, "0"));
        let (figure, period) = figure.trim_end_matches(')').split_once('(').unwrap_or((figure, ""));
        let (whole, fraction) = figure.split_once('.').unwrap_or((figure, ""));
        let digits = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        let power = |places: usize| 10_i128.checked_pow(u32::try_from(places).ok()?);
        let places = power(fraction.len())?;
        let mut value = Self::new(digits(&format!("{whole}{fraction}"))?, places)?;
        if !period.is_empty() {
            let nines = power(period.len())?.checked_sub(1)?.checked_mul(places)?;
            value = value.plus(Self::new(digits(period)?, nines)?)?;
        }
        value.times(Self::whole(10).power(Self::whole(exponent.parse().ok()?))?)
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Self::new(left.checked_add(right)?, self.denominator.checked_mul(other.denominator)?)
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        Self::new(self.numerator.checked_mul(other.numerator)?, self.denominator.checked_mul(other.denominator)?)
    }

    pub(super) fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.denominator, other.numerator)?)
    }

    pub(super) fn negated(self) -> Self {
        Self { numerator: -self.numerator, ..self }
    }

    /// Whole exponents only; stops at the first product that does not fit, so it is never slow.
    pub(super) fn power(self, exponent: Self) -> Option<Self> {
        if exponent.denominator != 1 {
            return None;
        }
        let base = if exponent.numerator < 0 { Self::ONE.over(self)? } else { self };
        if matches!((base.numerator, base.denominator), (0 | 1, 1)) {
            return Some(if exponent.numerator == 0 { Self::ONE } else { base });
        }
        if (base.numerator, base.denominator) == (-1, 1) {
            return Some(if exponent.numerator % 2 == 0 { Self::ONE } else { base });
        }
        let mut result = Self::ONE;
        // The base is at least 2 above or below the line: 127 products overflow.
        for _ in 0..exponent.numerator.unsigned_abs().min(128) {
            result = result.times(base)?;
        }
        Some(result)
    }

    pub(super) fn to_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_nothing() {
        let read = |written, numerator, denominator| {
            assert_eq!(Ratio::read(written), Ratio::new(numerator, denominator), "{written}");
        };
        read("12", 12, 1);
        read("0.50", 1, 2);
        read(".5", 1, 2);
        read("0.(3)", 1, 3);
        read("0.1(6)", 1, 6);
        read("1.2e-3", 3, 2500);
        assert_eq!(Ratio::read(&"9".repeat(60)), None);
        assert_eq!(Ratio::read("1e99"), None);
        assert_eq!(Ratio::new(1, 0), None);
    }

    #[test]
    fn powers_end_early() {
        let two = Ratio::whole(2);
        assert_eq!(two.power(Ratio::whole(-2)), Ratio::new(1, 4));
        assert_eq!(two.power(Ratio::whole(i128::from(u64::MAX))), None);
        assert_eq!(Ratio::whole(-1).power(Ratio::whole(i128::from(u64::MAX))), Some(Ratio::whole(-1)));
        assert_eq!(Ratio::ZERO.power(Ratio::whole(-1)), None);
    }
}
