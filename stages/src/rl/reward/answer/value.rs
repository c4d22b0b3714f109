//! A tree → its value: exact where it is arithmetic on fractions, else a number at given values of its variables. Refuses
//! to know when two values are the same.

use super::complex::Complex;
use super::node::Node;
use super::ratio::Ratio;
use super::words;

/// The exact value of arithmetic on numbers; `None` for anything else.
pub(super) fn exact(node: &Node) -> Option<Ratio> {
    match node {
        Node::Number(number) => number.exact,
        Node::Negative(a) => Some(exact(a)?.negated()),
        Node::Sum(terms) => terms.iter().try_fold(Ratio::ZERO, |sum, term| sum.plus(exact(term)?)),
        Node::Product(factors) => factors.iter().try_fold(Ratio::ONE, |product, factor| product.times(exact(factor)?)),
        Node::Quotient(a, b) => exact(a)?.over(exact(b)?),
        Node::Power(a, b) => exact(a)?.power(exact(b)?),
        Node::Percent(a) => exact(a)?.over(Ratio::whole(100)),
        Node::Degrees(a) => exact(a),
        Node::Call(name, arguments) => match (name.as_str(), &arguments[..]) {
            ("!", [n]) => (1..=count(n)?).try_fold(Ratio::ONE, |product, i| product.times(Ratio::whole(i))),
            ("binom", [n, k]) => {
                let (n, k) = (count(n)?, count(k)?);
                // After i factors the product is n over i, which is whole.
                let step = |product: Ratio, i| product.times(Ratio::whole(n - i + 1))?.over(Ratio::whole(i));
                if k > n { None } else { (1..=k.min(n - k)).try_fold(Ratio::ONE, step) }
            }
            _ => None,
        },
        _ => None,
    }
}

/// A whole number from 0 that may be counted up to: more would not fit, or take long.
fn count(node: &Node) -> Option<i128> {
    exact(node)
        .filter(|value| value.denominator == 1 && (0..=512).contains(&value.numerator))
        .map(|value| value.numerator)
}

/// The value of an expression without variables, where that is real.
pub(super) fn number(node: &Node) -> Option<f64> {
    let value = if node.is_constant() { at_point(node, 0)? } else { return None };
    (value.im.abs() <= 1e-12 * value.abs()).then_some(value.re)
}

/// The value at one of the sample points; `None` where there is none, or it is not finite.
///
/// Variables take fixed values that depend on their name and the point alone: positive in the first half of the points, of
/// either sign in the others. A function that is not known takes a fixed value for equal arguments.
pub(super) fn at_point(node: &Node, point: usize) -> Option<Complex> {
    let value = raw(node, point)?;
    value.is_finite().then_some(value)
}

/// Number of sample points.
pub(super) const POINTS: usize = 8;

fn raw(node: &Node, point: usize) -> Option<Complex> {
    let at = |node: &Node| raw(node, point);
    Some(match node {
        Node::Number(number) => Complex::real(number.value),
        Node::Variable(name) => Complex::real(sample(name, point)),
        Node::Pi => Complex::real(std::f64::consts::PI),
        Node::Euler => Complex::real(std::f64::consts::E),
        Node::Imaginary => Complex::I,
        Node::Negative(a) => -at(a)?,
        Node::Sum(terms) => terms.iter().try_fold(Complex::ZERO, |sum, term| Some(sum + at(term)?))?,
        Node::Product(factors) => {
            factors.iter().try_fold(Complex::ONE, |product, factor| Some(product * at(factor)?))?
        }
        Node::Quotient(a, b) => at(a)? / at(b)?,
        Node::Power(a, b) => at(a)?.power(at(b)?),
        Node::Root(index, a) => root(at(index)?, at(a)?),
        Node::Percent(a) => at(a)? / Complex::real(100.0),
        Node::Degrees(a) => at(a)?,
        Node::Call(name, arguments) => {
            let values = arguments.iter().map(at).collect::<Option<Vec<_>>>()?;
            let in_degrees = arguments.iter().any(|argument| argument.any(&|node| matches!(node, Node::Degrees(_))));
            call(name, &values, in_degrees)?
        }
        _ => return None,
    })
}

/// Real where it can be: the cube root of −8 is −2.
fn root(index: Complex, radicand: Complex) -> Complex {
    let is_odd = index.is_real() && (index.re % 2.0).abs().total_cmp(&1.0).is_eq();
    if is_odd && radicand.is_real() && radicand.re < 0.0 {
        return -(-radicand).power(Complex::ONE / index);
    }
    if index == Complex::real(2.0) && radicand.is_real() && radicand.re >= 0.0 {
        return Complex::real(radicand.re.sqrt());
    }
    radicand.power(Complex::ONE / index)
}

fn call(name: &str, arguments: &[Complex], in_degrees: bool) -> Option<Complex> {
    if let &[a] = arguments {
        if name == "abs" {
            return Some(Complex::real(a.abs()));
        }
        if matches!(name, "ln" | "log" | "lg") {
            // Base 10 without a base: what answers mean by `\log`. math-verify takes the natural logarithm.
            let base = if name == "ln" { Complex::ONE } else { Complex::real(10.0).ln() };
            return Some(a.ln() / base);
        }
        if name == "exp" {
            return Some(a.exp());
        }
    }
    if arguments.iter().any(|argument| !argument.is_real()) {
        return None;
    }
    let reals: Vec<f64> = arguments.iter().map(|argument| argument.re).collect();
    let value = match (name, &reals[..]) {
        ("log", &[a, base]) => a.ln() / base.ln(),
        ("!", &[a]) if is_small(a) => factorial(a),
        ("binom", &[n, k]) if is_small(n) && is_small(k) && k <= n => {
            (factorial(n) / (factorial(k) * factorial(n - k))).round()
        }
        ("gcd" | "lcm", &[a, b]) if is_small(a) && is_small(b) => {
            let divisor = gcd(a as u64, b as u64).max(1) as f64;
            if name == "gcd" { divisor } else { a * b / divisor }
        }
        ("max", all) => all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ("min", all) => all.iter().copied().fold(f64::INFINITY, f64::min),
        ("floor", &[a]) => a.floor(),
        ("ceil", &[a]) => a.ceil(),
        (_, &[a]) => match of_one(name, if in_degrees && words::is_trigonometric(name) { a.to_radians() } else { a }) {
            Some(value) => value,
            None => unknown(name, &reals),
        },
        _ => unknown(name, &reals),
    };
    Some(Complex::real(value))
}

fn of_one(name: &str, a: f64) -> Option<f64> {
    Some(match name {
        "sin" => a.sin(),
        "cos" => a.cos(),
        "tan" => a.tan(),
        "cot" => 1.0 / a.tan(),
        "sec" => 1.0 / a.cos(),
        "csc" => 1.0 / a.sin(),
        "arcsin" => a.asin(),
        "arccos" => a.acos(),
        "arctan" => a.atan(),
        "sinh" => a.sinh(),
        "cosh" => a.cosh(),
        "tanh" => a.tanh(),
        _ => return None,
    })
}

/// Whole, and with a factorial that is finite.
fn is_small(a: f64) -> bool {
    (0.0..=170.0).contains(&a) && a.fract() == 0.0
}

fn factorial(a: f64) -> f64 {
    (1..=a as u32).map(f64::from).product()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A value between 0.4 and 2.4 that has nothing to do with any other name's or point's.
fn sample(name: &str, point: usize) -> f64 {
    let bits = hash(name, point as u64);
    let size = 0.4 + 2.0 * (bits >> 11) as f64 / (1_u64 << 53) as f64;
    if point >= POINTS / 2 && bits & 1 == 1 { -size } else { size }
}

/// Some smooth function of the arguments that is another one for every name.
fn unknown(name: &str, arguments: &[f64]) -> f64 {
    let mixed: f64 = arguments.iter().enumerate().map(|(place, value)| value * sample(name, place)).sum();
    2.0 + (mixed + sample(name, POINTS - 1)).sin()
}

/// FNV-1a over the name and the number, and a last stir so that neighbours differ in every bit.
fn hash(name: &str, number: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes().chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
