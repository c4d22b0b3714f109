//! Texts of tokens → ids, of a tokenizer that was read or only described; and in which token two of them differ. Knows no
//! merges, and can't turn text into tokens.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The vocabulary that merges make, without added tokens. Lookups only: its order means nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Ids by text.
    pub ids: HashMap<String, u32>,
    /// Equal for equal files.
    pub digest: String,
}

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It has this id.
    Id(u32),
    /// It is there, under an id that is not known.
    There,
    /// It is not there.
    Missing,
    /// Nobody can tell.
    Unknown,
}

/// A tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokenizer {
    /// What was there before tokens were added, where it could be read.
    pub base: Option<Arc<Vocabulary>>,
    /// Added tokens, such as `<think>`, and their ids where known.
    pub added: BTreeMap<String, Option<u32>>,
    /// Are these all added tokens that there are?
    pub all_added: bool,
    /// One more than the highest id, where known.
    pub size: Option<usize>,
}

/// A token that two tokenizers don't agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its text.
    pub token: String,
    /// What the first knows of it.
    pub first: Known,
    /// What the second knows of it.
    pub second: Known,
}

impl Tokenizer {
    /// What is known of a token.
    pub fn find(&self, token: &str) -> Known {
        if let Some(id) = self.added.get(token) {
            return id.map_or(Known::There, Known::Id);
        }
        match &self.base {
            Some(base) => base.ids.get(token).map_or(Known::Missing, |id| Known::Id(*id)),
            // A token such as `<think>` does not come out of merges; those of the architecture are not declared one by one.
            None if self.all_added && !token.starts_with("<|") => Known::Missing,
            None => Known::Unknown,
        }
    }

    /// The same with more tokens: each that is not there gets the next free id.
    #[must_use]
    pub fn with(&self, tokens: &[String]) -> Self {
        let mut more = self.clone();
        for token in tokens {
            match self.find(token) {
                Known::Id(id) => {
                    more.added.insert(token.clone(), Some(id));
                }
                Known::There => {}
                // Whether it takes a new id is not known, so neither is how many there are.
                Known::Unknown => {
                    more.added.insert(token.clone(), None);
                    more.size = None;
                }
                Known::Missing => {
                    more.added.insert(token.clone(), more.size.map(|size| size as u32));
                    more.size = more.size.map(|size| size + 1);
                }
            }
        }
        more
    }

    /// The token of the lowest id, or else the first by its text, that one is known to have and the other is known to lack or
    /// to have under another id.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let differ = |token: &str| {
            let (first, second) = (self.find(token), other.find(token));
            let apart = match (first, second) {
                (Known::Id(first), Known::Id(second)) => first != second,
                (Known::Missing, Known::Id(_) | Known::There) | (Known::Id(_) | Known::There, Known::Missing) => true,
                _ => false,
            };
            apart.then(|| Difference { token: token.to_owned(), first, second })
        };
        if let (Some(base), Some(others)) = (&self.base, &other.base)
            && base.digest != others.digest
        {
            let both = base.ids.iter().chain(&others.ids);
            let lowest = both.filter(|(token, _)| differ(token).is_some()).min_by_key(|(token, id)| (**id, *token));
            if let Some((token, _)) = lowest {
                return differ(token);
            }
        }
        let added = self.added.iter().chain(&other.added).filter(|(token, _)| differ(token).is_some());
        differ(added.min_by_key(|(token, id)| (**id, *token))?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(base: &[&str], added: &[&str]) -> Tokenizer {
        let ids = base.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id as u32)).collect();
        let base = Some(Arc::new(Vocabulary { ids, digest: base.join(" ") }));
        let tokens: Vec<_> = added.iter().map(|token| (*token).to_owned()).collect();
        let size = base.as_ref().map(|base| base.ids.len());
        Tokenizer { base, all_added: true, size, ..Tokenizer::default() }.with(&tokens)
    }

    #[test]
    fn new_tokens_get_the_next_ids_and_old_ones_keep_theirs() {
        let more = read(&["a", "b"], &["<x>"]).with(&["<y>".into(), "b".into(), "<x>".into()]);
        assert_eq!(more.size, Some(4));
        assert_eq!(
            ["<x>", "<y>", "b", "c"].map(|token| more.find(token)),
            [Known::Id(2), Known::Id(3), Known::Id(1), Known::Missing]
        );
        let vague = Tokenizer { size: Some(9), ..Tokenizer::default() }.with(&["<x>".into()]);
        assert_eq!((vague.size, vague.find("<x>"), vague.find("<y>")), (None, Known::There, Known::Unknown));
    }

    #[test]
    fn tokenizers_differ_in_a_token_that_can_be_named() {
        let one = read(&["a", "b"], &["<x>"]);
        assert_eq!(one.difference(&one), None);
        let said = |other: &Tokenizer| one.difference(other).map(|one| (one.token, one.first, one.second));
        assert_eq!(said(&read(&["a", "b"], &[])), Some(("<x>".into(), Known::Id(2), Known::Missing)));
        assert_eq!(said(&read(&["a", "c"], &["<x>"])), Some(("b".into(), Known::Id(1), Known::Missing)));
        assert_eq!(said(&read(&["a", "b"], &["<y>", "<x>"])), Some(("<x>".into(), Known::Id(2), Known::Id(3))));
        assert_eq!(said(&Tokenizer::default()), None, "nobody can tell");
        let declared = Tokenizer { all_added: true, ..Tokenizer::default() };
        assert_eq!(said(&declared), Some(("<x>".into(), Known::Id(2), Known::Missing)));
    }
}
