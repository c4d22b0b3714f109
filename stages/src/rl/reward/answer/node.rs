//! What an answer says, as a tree: numbers, variables, operations, and the shapes that answers come in.

use super::ratio::Ratio;

/// A number as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// Its digits.
    pub(super) written: String,
    /// Its exact value, if that fits.
    pub(super) exact: Option<Ratio>,
    /// Its value, rounded.
    pub(super) value: f64,
}

impl Number {
    pub(super) fn new(written: &str) -> Self {
        let exact = Ratio::read(written);
        let value = exact.map_or_else(|| written.replace(['(', ')'], "").parse().unwrap_or(f64::NAN), Ratio::to_f64);
        Self { written: written.to_owned(), exact, value }
    }

    /// Written with a decimal point?
    pub(super) fn is_decimal(&self) -> bool {
        self.written.contains('.') && !self.written.contains('(')
    }

    /// Digits and nothing else?
    pub(super) fn is_whole(&self) -> bool {
        self.written.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// An answer, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Number(Number),
    /// A variable, with its subscript.
    Variable(String),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Negative(Box<Node>),
    Sum(Vec<Node>),
    Product(Vec<Node>),
    Quotient(Box<Node>, Box<Node>),
    Power(Box<Node>, Box<Node>),
    /// Index and radicand.
    Root(Box<Node>, Box<Node>),
    Call(String, Vec<Node>),
    Percent(Box<Node>),
    Degrees(Box<Node>),
    /// `a ± b`; `true` where minus stands above.
    PlusMinus(Option<Box<Node>>, Box<Node>, bool),
    /// Several things in order between brackets: a point, a vector, an interval.
    Tuple(char, Vec<Node>, char),
    /// Several things in any order, each counted once.
    Set(Vec<Node>),
    /// Several things side by side.
    List(Vec<Node>),
    Union(Vec<Node>),
    /// `a:b:c`
    Ratios(Vec<Node>),
    Matrix(Vec<Vec<Node>>),
    /// Sides, and the signs between them: `= ≈ < > ≤ ≥ ≠ ∈`.
    Relation(Vec<Node>, Vec<char>),
    /// Digits and their base.
    Based(String, String),
    Text(String),
}

impl Node {
    /// Every part directly below.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Number(_)
            | Self::Variable(_)
            | Self::Pi
            | Self::Euler
            | Self::Imaginary
            | Self::Infinity
            | Self::Based(..)
            | Self::Text(_) => Vec::new(),
            Self::Negative(a) | Self::Percent(a) | Self::Degrees(a) => vec![a],
            Self::Quotient(a, b) | Self::Power(a, b) | Self::Root(a, b) => vec![a, b],
            Self::PlusMinus(a, b, _) => a.iter().map(AsRef::as_ref).chain([b.as_ref()]).collect(),
            Self::Sum(all)
            | Self::Product(all)
            | Self::Call(_, all)
            | Self::Tuple(_, all, _)
            | Self::Set(all)
            | Self::List(all)
            | Self::Union(all)
            | Self::Ratios(all)
            | Self::Relation(all, _) => all.iter().collect(),
            Self::Matrix(rows) => rows.iter().flatten().collect(),
        }
    }

    /// Does this hold for the node or anything below it?
    pub(super) fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        test(self) || self.parts().into_iter().any(|part| part.any(test))
    }

    /// Is it one value, rather than several or a statement?
    pub(super) fn is_scalar(&self) -> bool {
        let several = |node: &Self| {
            matches!(
                node,
                Self::Tuple(..)
                    | Self::Set(_)
                    | Self::List(_)
                    | Self::Union(_)
                    | Self::Ratios(_)
                    | Self::Matrix(_)
                    | Self::Relation(..)
                    | Self::Based(..)
                    | Self::Text(_)
                    | Self::PlusMinus(..)
            )
        };
        !self.any(&several)
    }

    /// Has it no variables?
    pub(super) fn is_constant(&self) -> bool {
        self.is_scalar() && !self.any(&|node| matches!(node, Self::Variable(_) | Self::Call(..)))
    }

    /// What stands left of `=` when a value is named: `x`, `f(x)`, `(x, y)`, `AB`.
    pub(super) fn is_name(&self) -> bool {
        match self {
            Self::Variable(_) | Self::Euler | Self::Imaginary | Self::Text(_) => true,
            Self::Product(factors) => factors.iter().all(Self::is_name),
            Self::Tuple('(', items, ')') => items.iter().all(Self::is_name),
            _ => false,
        }
    }

    /// The two nodes that `±` stands for; `None` where there is none.
    pub(super) fn both_signs(&self) -> Option<[Self; 2]> {
        let has = self.any(&|node| matches!(node, Self::PlusMinus(..)));
        has.then(|| [self.signed(true), self.signed(false)])
    }

    fn signed(&self, upper: bool) -> Self {
        let all = |nodes: &[Self]| nodes.iter().map(|node| node.signed(upper)).collect::<Vec<_>>();
        let boxed = |node: &Self| Box::new(node.signed(upper));
        match self {
            Self::PlusMinus(first, second, minus_above) => {
                let second = second.signed(upper);
                let second = if upper == *minus_above { Self::Negative(Box::new(second)) } else { second };
                match first {
                    Some(first) => Self::Sum(vec![first.signed(upper), second]),
                    None => second,
                }
            }
            Self::Negative(a) => Self::Negative(boxed(a)),
            Self::Percent(a) => Self::Percent(boxed(a)),
            Self::Degrees(a) => Self::Degrees(boxed(a)),
            Self::Quotient(a, b) => Self::Quotient(boxed(a), boxed(b)),
            Self::Power(a, b) => Self::Power(boxed(a), boxed(b)),
            Self::Root(a, b) => Self::Root(boxed(a), boxed(b)),
            Self::Sum(nodes) => Self::Sum(all(nodes)),
            Self::Product(nodes) => Self::Product(all(nodes)),
            Self::Call(name, nodes) => Self::Call(name.clone(), all(nodes)),
            Self::Tuple(open, nodes, close) => Self::Tuple(*open, all(nodes), *close),
            Self::Relation(nodes, signs) => Self::Relation(all(nodes), signs.clone()),
            other => other.clone(),
        }
    }
}
