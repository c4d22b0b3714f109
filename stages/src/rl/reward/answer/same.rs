//! Two trees → are they the same answer? Scalars by value, shapes part by part; statements are [`super::relation`]'s.

use super::node::{Node, Number};
use super::relation;
use super::value::{POINTS, at_point, exact};

/// Relative difference that rounding of a calculation explains.
const ROUNDING: f64 = 1e-10;
/// Sample points at which two expressions must have real values for a verdict.
const ENOUGH: usize = 3;

/// What comparing two answers may cost, in comparisons of parts: lists of lists end, whatever they hold.
pub(super) struct Effort(u32);

impl Effort {
    pub(super) const fn new() -> Self {
        Self(20_000)
    }

    fn spend(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

/// Are two answers, or parts of answers, the same?
pub(super) fn same(gold: &Node, found: &Node, effort: &mut Effort) -> bool {
    if !effort.spend() {
        return false;
    }
    let (gold, found) = (relation::member_of(gold), relation::member_of(found));
    if let Some(verdict) = relation::verdict(gold, found, effort) {
        return verdict;
    }
    if let (Some(gold), Some(found)) = (in_any_order(gold, effort), in_any_order(found, effort)) {
        return unordered(&gold, &found, effort);
    }
    match (gold, found) {
        (Node::Tuple(gold_open, gold, gold_close), Node::Tuple(open, found, close)) => {
            (gold_open, gold_close) == (open, close) && ordered(gold, found, effort)
        }
        // Coordinates without their brackets, and the other way round: then order counts.
        (Node::Tuple('(', gold, ')'), Node::List(found)) | (Node::List(gold), Node::Tuple('(', found, ')')) => {
            ordered(gold, found, effort)
        }
        (Node::Union(gold), Node::Union(found)) => unordered(gold, found, effort),
        (Node::Ratios(gold), Node::Ratios(found)) => proportional(gold, found),
        (Node::Matrix(gold), Node::Matrix(found)) => {
            gold.len() == found.len() && gold.iter().zip(found).all(|(gold, found)| ordered(gold, found, effort))
        }
        (Node::Set(one) | Node::List(one), other) | (other, Node::Set(one) | Node::List(one)) if one.len() == 1 => {
            same(&one[0], other, effort)
        }
        (Node::Based(gold, base), Node::Based(found, other)) => (gold, base) == (found, other),
        // The question names the base; its subscript may be left out.
        (Node::Based(digits, _), Node::Number(plain)) | (Node::Number(plain), Node::Based(digits, _)) => {
            *digits == plain.written
        }
        (Node::Text(gold), Node::Text(found)) => gold.to_lowercase() == found.to_lowercase(),
        _ => scalar(gold, found),
    }
}

/// The members of a set or a list, `±` written out; a set has each once. `None` for anything else.
fn in_any_order(node: &Node, effort: &mut Effort) -> Option<Vec<Node>> {
    let is_set = matches!(node, Node::Set(_) | Node::Union(_));
    let items = match node {
        Node::Union(sets) => {
            let members = |set: &Node| if let Node::Set(members) = set { Some(members.clone()) } else { None };
            &sets.iter().map(members).collect::<Option<Vec<_>>>()?.concat()[..]
        }
        Node::Set(items) | Node::List(items)
            if items.len() != 1 || node.any(&|node| matches!(node, Node::PlusMinus(..))) =>
        {
            items.as_slice()
        }
        other if other.both_signs().is_some() => std::slice::from_ref(other),
        _ => return None,
    };
    let mut members: Vec<Node> = Vec::new();
    for item in items {
        match item.both_signs() {
            Some(both) => members.extend(both),
            None => members.push(item.clone()),
        }
    }
    if is_set {
        let mut once: Vec<Node> = Vec::new();
        for member in members {
            if !once.iter().any(|other| effort.spend() && scalar(other, &member)) {
                once.push(member);
            }
        }
        members = once;
    }
    Some(members)
}

fn ordered(gold: &[Node], found: &[Node], effort: &mut Effort) -> bool {
    gold.len() == found.len() && gold.iter().zip(found).all(|(gold, found)| same(gold, found, effort))
}

pub(super) fn unordered(gold: &[Node], found: &[Node], effort: &mut Effort) -> bool {
    if gold.len() != found.len() {
        return false;
    }
    let mut left: Vec<&Node> = found.iter().collect();
    gold.iter().all(|item| match left.iter().position(|other| same(item, other, effort)) {
        Some(at) => {
            left.swap_remove(at);
            true
        }
        None => false,
    })
}

/// `1:2:3` is `2:4:6`.
fn proportional(gold: &[Node], found: &[Node]) -> bool {
    let values = |nodes: &[Node]| nodes.iter().map(exact).collect::<Option<Vec<_>>>();
    let (Some(gold), Some(found)) = (values(gold), values(found)) else { return gold == found };
    let cross = |i: usize| gold[i].times(found[0]) == found[i].times(gold[0]);
    gold.len() == found.len() && (0..gold.len()).all(cross) && gold[0].numerator != 0
}

/// Two single values.
pub(super) fn scalar(gold: &Node, found: &Node) -> bool {
    if gold == found {
        return true;
    }
    if !gold.is_scalar() || !found.is_scalar() {
        return false;
    }
    if let (Some(gold), Some(found)) = (endless(gold), endless(found)) {
        return gold == found;
    }
    if let (Node::Number(gold), Node::Number(found)) = (gold, found)
        && gold.is_whole()
        && found.is_whole()
    {
        let digits = |number: &Number| number.written.trim_start_matches('0').to_owned();
        return digits(gold) == digits(found);
    }
    if percent_figure(gold, found) || percent_figure(found, gold) {
        return true;
    }
    if let (Some(exact_gold), Some(exact_found)) = (exact(gold), exact(found)) {
        return exact_gold == exact_found
            || ((is_decimal(gold) || is_decimal(found)) && rounds_alike(exact_gold.to_f64(), exact_found.to_f64()));
    }
    numerically(gold, found)
}

/// By value at the sample points, in the reals unless `i` is written.
fn numerically(gold: &Node, found: &Node) -> bool {
    let is_complex = |node: &Node| node.any(&|node| matches!(node, Node::Imaginary));
    let in_reals = !is_complex(gold) && !is_complex(found);
    let constant = gold.is_constant() && found.is_constant();
    let points = if constant { 1 } else { POINTS };
    let decimal = is_decimal(gold) || is_decimal(found);
    let mut compared = 0;
    for point in 0..points {
        let (Some(a), Some(b)) = (at_point(gold, point), at_point(found, point)) else { continue };
        let imaginary = |value: super::complex::Complex| value.im.abs() > ROUNDING * value.abs();
        if in_reals && (imaginary(a) || imaginary(b)) {
            continue;
        }
        if !(close(a.abs(), b.abs(), (a - b).abs()) || (constant && decimal && rounds_alike(a.re, b.re))) {
            return false;
        }
        compared += 1;
    }
    compared >= ENOUGH.min(points)
}

fn close(a: f64, b: f64, difference: f64) -> bool {
    // What is exactly 0 on one side may be left over from a subtraction on the other: `\sin \pi`.
    let floor = if a == 0.0 || b == 0.0 { 1e-12 } else { 0.0 };
    difference <= (ROUNDING * a.max(b)).max(floor)
}

/// A decimal stands for what differs from it by half a unit of the sixth place, as in math-verify; unlike there, three digits
/// must agree too, so that 0.0000001 is not 0.
fn rounds_alike(a: f64, b: f64) -> bool {
    let difference = (a - b).abs();
    a.abs() < 1e9 && difference <= 0.500_000_1e-6 && difference <= 1e-3 * a.abs().max(b.abs())
}

/// A decimal number and nothing around it but a sign, `%` or `°`.
fn is_decimal(node: &Node) -> bool {
    match node {
        Node::Number(number) => number.is_decimal(),
        Node::Negative(a) | Node::Percent(a) | Node::Degrees(a) => is_decimal(a),
        _ => false,
    }
}

/// `50%` for `50`, where a percentage was asked for; from 1 on, since 0.5 is more likely to mean 50 %.
fn percent_figure(percent: &Node, plain: &Node) -> bool {
    match (percent, plain) {
        (_, Node::Percent(_)) => false,
        (Node::Percent(figure), plain) => {
            let figure = exact(figure);
            figure.is_some_and(|figure| figure.to_f64().abs() >= 1.0) && figure == exact(plain)
        }
        _ => false,
    }
}

/// The sign of an infinity.
fn endless(node: &Node) -> Option<bool> {
    match node {
        Node::Infinity => Some(true),
        Node::Negative(a) => endless(a).map(|sign| !sign),
        _ => None,
    }
}
