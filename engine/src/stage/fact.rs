//! What `check` knows and who said so: a value with the place in the recipe that it comes from, so that a mistake found ten
//! stages later can still underline its cause. Knows neither models nor data.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::recipe::Span;

/// Who said something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Said {
    /// Nobody; or, in what [`super::StageKind::types`] returns, the stage as a whole.
    #[default]
    Unsaid,
    /// A parameter of the stage whose types are being worked out, as a dotted path below `params`. The engine makes a place
    /// of it before the type goes on.
    Param(String),
    /// This place in the recipe.
    At {
        /// The place.
        span: Span,
        /// The file behind it that was read, such as `config.json`; empty where the recipe itself says it.
        file: &'static str,
    },
}

impl Said {
    /// The recipe itself, at this place.
    pub fn at(span: Span) -> Self {
        Self::At { span, file: "" }
    }
}

/// Something known of a model or of rows, or not known: an absent value never means that it is false.
///
/// Serialised it is the value alone: places are of use only while a recipe is being checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact<T> {
    value: Option<T>,
    said: Said,
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self { value: None, said: Said::Unsaid }
    }
}

impl<T> Fact<T> {
    /// Something known.
    pub fn new(value: T, said: Said) -> Self {
        Self { value: Some(value), said }
    }

    /// Something known of what a stage makes, by whatever the stage is.
    pub fn known(value: T) -> Self {
        Self::new(value, Said::Unsaid)
    }

    /// Something known of what a stage makes, by its parameter at a dotted path.
    pub fn param(value: T, path: impl Into<String>) -> Self {
        Self::new(value, Said::Param(path.into()))
    }

    /// The value, if it is known.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Who said it.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// This fact, or another where this is not known.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.value.is_some() { self } else { other }
    }

    /// Gives a fact that is known a place, where it has none yet.
    pub(crate) fn place(&mut self, place: impl Fn(Option<&str>) -> Span) {
        if self.value.is_some() {
            match &self.said {
                Said::Unsaid => self.said = Said::at(place(None)),
                Said::Param(path) => self.said = Said::at(place(Some(path))),
                Said::At { .. } => {}
            }
        }
    }
}

impl<T: PartialEq> Fact<T> {
    /// Is it known, and this?
    pub fn is(&self, value: &T) -> bool {
        self.value.as_ref() == Some(value)
    }
}

impl<T: Serialize> Serialize for Fact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { value: Option::deserialize(deserializer)?, said: Said::Unsaid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_travels_as_its_value() {
        let facts = [Fact::param(3, "size"), Fact::default()];
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(json, "[3,null]");
        let back: [Fact<i32>; 2] = serde_json::from_str(&json).unwrap();
        assert_eq!(back, [Fact::known(3), Fact::default()]);
    }

    #[test]
    fn only_what_is_known_gets_a_place_and_only_once() {
        let mut sources = crate::recipe::Sources::default();
        let id = sources.add("x", std::path::Path::new("."), "");
        let place = |path: Option<&str>| Span::new(id, path.map_or(0, str::len)..9);
        let mut facts = [Fact::known(1), Fact::param(2, "size"), Fact::default()];
        for _ in 0..2 {
            for fact in &mut facts {
                fact.place(place);
            }
        }
        let said = facts.map(|fact| fact.said);
        assert_eq!(said, [Said::at(place(None)), Said::at(place(Some("size"))), Said::Unsaid]);
    }
}
