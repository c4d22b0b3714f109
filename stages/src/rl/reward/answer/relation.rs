//! Equations and inequalities: what a named value is (`x = 3` is 3), when two statements say the same, and which interval
//! an inequality is.

use super::node::Node;
use super::same::{Effort, same, scalar, unordered};
use super::value::{POINTS, at_point, number};

/// The verdict where at least one side is a statement; `None` where neither is, or shapes decide.
pub(super) fn verdict(gold: &Node, found: &Node, effort: &mut Effort) -> Option<bool> {
    match (gold, found) {
        (Node::Relation(gold_sides, gold_signs), Node::Relation(sides, signs)) => {
            Some(statements(gold, found, effort).unwrap_or_else(|| {
                let (gold_sides, gold_signs) = rising(gold_sides, gold_signs);
                let (sides, signs) = rising(sides, signs);
                gold_signs == signs
                    && (gold_sides.len() == sides.len()
                        && gold_sides.iter().zip(&sides).all(|(gold, found)| same(gold, found, effort))
                        || multiples(&gold_sides, &sides, &signs))
            }))
        }
        (Node::Relation(..), other) | (other, Node::Relation(..)) => {
            let statement = if matches!(gold, Node::Relation(..)) { gold } else { found };
            let values = values_of(statement);
            if !values.is_empty() {
                let is_gold = std::ptr::eq(statement, gold);
                let mut fits = |value| if is_gold { same(value, other, effort) } else { same(other, value, effort) };
                return Some(values.into_iter().any(&mut fits));
            }
            Some(regions(gold, found, effort))
        }
        (Node::List(items), Node::Union(_)) | (Node::Union(_), Node::List(items))
            if items.iter().all(|item| matches!(item, Node::Relation(..))) =>
        {
            Some(regions(gold, found, effort))
        }
        _ => None,
    }
}

/// `x ∈ S` → S.
pub(super) fn member_of(node: &Node) -> &Node {
    match node {
        Node::Relation(sides, signs) if signs[..] == ['∈'] && sides[0].is_name() => &sides[1],
        other => other,
    }
}

/// What a chain of equations ends with, if it names a value or is a calculation: `x = 2 + 1 = 3`. Before an approximation
/// stands the value itself, so `x = \sqrt{2} ≈ 1.41` is both; nothing for other statements.
pub(super) fn values_of(statement: &Node) -> Vec<&Node> {
    let Node::Relation(sides, signs) = statement else { return Vec::new() };
    let agree = |(pair, sign): (&[Node], &char)| match sign {
        '=' => scalar(&pair[0], &pair[1]),
        _ => near(&pair[0], &pair[1]),
    };
    let calculated = || sides[0].is_constant() && sides.windows(2).zip(signs).all(agree);
    if !signs.iter().all(|&sign| is_equal(sign)) || !(sides[0].is_name() || calculated()) {
        return Vec::new();
    }
    match &sides[..] {
        [.., value, rounded] if signs.last() == Some(&'≈') && near(value, rounded) => vec![value, rounded],
        [.., value] => vec![value],
        [] => Vec::new(),
    }
}

fn is_equal(sign: char) -> bool {
    sign == '=' || sign == '≈'
}

/// Could one number be the other, rounded?
fn near(value: &Node, rounded: &Node) -> bool {
    let (Some(value), Some(rounded)) = (number(value), number(rounded)) else { return false };
    (value - rounded).abs() <= 0.05 * value.abs().max(rounded.abs())
}

/// Two chains of equations; `None` for other statements.
fn statements(gold: &Node, found: &Node, effort: &mut Effort) -> Option<bool> {
    let (Node::Relation(gold_sides, gold_signs), Node::Relation(sides, signs)) = (gold, found) else { return None };
    if !gold_signs.iter().chain(signs).all(|&sign| is_equal(sign)) {
        return None;
    }
    let (gold_values, values) = (values_of(gold), values_of(found));
    if !gold_values.is_empty() && !values.is_empty() && gold_sides[0] == sides[0] {
        return Some(gold_values.iter().any(|gold| values.iter().any(|value| same(gold, value, effort))));
    }
    Some(gold_sides.len() == 2 && sides.len() == 2 && multiples(gold_sides, sides, &['=']))
}

/// With every inequality turned to `<` or `≤`, where they all point one way.
fn rising(sides: &[Node], signs: &[char]) -> (Vec<Node>, Vec<char>) {
    let (mut sides, mut signs) = (sides.to_vec(), signs.to_vec());
    if signs.iter().all(|&sign| sign == '>' || sign == '≥') {
        sides.reverse();
        signs.reverse();
        for sign in &mut signs {
            *sign = if *sign == '>' { '<' } else { '≤' };
        }
    }
    (sides, signs)
}

/// Is one statement the other times a constant: `2x > 4` and `x > 2`? An inequality allows a positive one only.
fn multiples(gold: &[Node], found: &[Node], signs: &[char]) -> bool {
    let [sign] = signs else { return false };
    let ([gold_left, gold_right], [left, right]) = (gold, found) else { return false };
    if ![gold_left, gold_right, left, right].iter().all(|side| side.is_scalar()) {
        return false;
    }
    let mut factor: Option<f64> = None;
    let mut compared = 0;
    for point in 0..POINTS {
        let difference = |a, b| Some(at_point(a, point)? - at_point(b, point)?);
        let (Some(gold), Some(found)) = (difference(gold_left, gold_right), difference(left, right)) else { continue };
        let ratio = found / gold;
        if !ratio.is_finite() || ratio.abs() < 1e-12 || ratio.im.abs() > 1e-9 * ratio.abs() {
            return false;
        }
        let known = *factor.get_or_insert(ratio.re);
        if (ratio.re - known).abs() > 1e-9 * known.abs() {
            return false;
        }
        compared += 1;
    }
    compared >= 3 && (matches!(sign, '=' | '≠') || factor.is_some_and(|factor| factor > 0.0))
}

/// An interval with its ends; `None` for an end at infinity.
struct Interval {
    low: Option<Node>,
    high: Option<Node>,
    holds_low: bool,
    holds_high: bool,
}

fn regions(gold: &Node, found: &Node, effort: &mut Effort) -> bool {
    let (Some(gold), Some(found)) = (region(gold), region(found)) else { return false };
    let nodes = |intervals: Vec<Interval>| intervals.into_iter().map(Interval::into_node).collect::<Vec<_>>();
    unordered(&nodes(gold), &nodes(found), effort)
}

impl Interval {
    fn open(low: Option<Node>, high: Option<Node>) -> Self {
        Self { low, high, holds_low: false, holds_high: false }
    }

    fn into_node(self) -> Node {
        let low = self.low.unwrap_or_else(|| Node::Negative(Box::new(Node::Infinity)));
        let high = self.high.unwrap_or(Node::Infinity);
        let brackets = (if self.holds_low { '[' } else { '(' }, if self.holds_high { ']' } else { ')' });
        Node::Tuple(brackets.0, vec![low, high], brackets.1)
    }
}

/// The intervals that an answer names, as intervals or by inequalities in one variable.
fn region(node: &Node) -> Option<Vec<Interval>> {
    match node {
        Node::Tuple(open, ends, close) => {
            let [low, high] = &ends[..] else { return None };
            let end = |node: &Node| {
                (!matches!(node, Node::Infinity | Node::Negative(_) if is_endless(node))).then(|| node.clone())
            };
            Some(vec![Interval { low: end(low), high: end(high), holds_low: *open == '[', holds_high: *close == ']' }])
        }
        Node::Union(sets) | Node::List(sets) => {
            let each = sets.iter().map(|set| region(member_of(set))).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        Node::Relation(sides, signs) => {
            let (sides, signs) = rising(sides, signs);
            let is_variable = |node: &Node| matches!(node, Node::Variable(_));
            match (&sides[..], &signs[..]) {
                ([variable, value], ['≠']) if is_variable(variable) => {
                    Some(vec![Interval::open(None, Some(value.clone())), Interval::open(Some(value.clone()), None)])
                }
                ([variable, high], [sign @ ('<' | '≤')]) if is_variable(variable) => {
                    Some(vec![Interval { holds_high: *sign == '≤', ..Interval::open(None, Some(high.clone())) }])
                }
                ([low, variable], [sign @ ('<' | '≤')]) if is_variable(variable) => {
                    Some(vec![Interval { holds_low: *sign == '≤', ..Interval::open(Some(low.clone()), None) }])
                }
                ([low, variable, high], [first @ ('<' | '≤'), second @ ('<' | '≤')]) if is_variable(variable) => {
                    Some(vec![Interval {
                        low: Some(low.clone()),
                        high: Some(high.clone()),
                        holds_low: *first == '≤',
                        holds_high: *second == '≤',
                    }])
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_endless(node: &Node) -> bool {
    match node {
        Node::Infinity => true,
        Node::Negative(a) => is_endless(a),
        _ => false,
    }
}
