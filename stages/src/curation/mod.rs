//! What stages that turn rows into rows have in common: what is known of the result before it is there, and a `desk` to read
//! and write at. Refuses to know what each does.

#[cfg(all(test, feature = "rows"))]
pub mod bench;
#[cfg(feature = "rows")]
pub mod desk;
#[cfg(feature = "compute")]
pub mod difficulty;
#[cfg(feature = "compute")]
pub mod embed;
#[cfg(feature = "rows")]
pub mod topics;
#[cfg(feature = "rows")]
pub mod vectors;

use std::collections::BTreeSet;

use curricle_engine::stage::{DataType, Fact, Role, add_sources};

/// What is known of some of these rows: all but how many they are.
pub fn some_of(data: &DataType) -> DataType {
    DataType { rows: Fact::default(), ..data.clone() }
}

/// What is known of rows that get a topic, as `param` says.
pub fn with_topic(data: &DataType, param: &str) -> DataType {
    let mut data = some_of(data);
    if let Some(columns) = data.columns.get() {
        let mut columns = columns.clone();
        columns.insert("topic".to_owned());
        data.columns = Fact::param(columns, param);
    }
    data
}

/// What is known of some rows of each of these sets, put together.
///
/// A field is there where every set has it, images where any has; if any may only be evaluated on, all may only be evaluated
/// on; licences add up, as SPDX writes it.
pub fn together(sets: &[&DataType]) -> DataType {
    let Some((first, rest)) = sets.split_first() else { return DataType::default() };
    let mut all = some_of(first);
    for set in rest {
        all.role = if set.role == Role::Eval { Role::Eval } else { all.role };
        all.images = match (all.images.get(), set.images.get()) {
            (Some(true), _) | (Some(false), Some(false)) => all.images,
            (_, Some(true)) => set.images.clone(),
            _ => Fact::default(),
        };
        all.columns = both(&all.columns, &set.columns, |a, b| {
            let images = a.union(b).filter(|name| *name == "images").cloned();
            a.intersection(b).cloned().chain(images).collect::<BTreeSet<_>>()
        });
        all.answers = same(&all.answers, &set.answers);
        all.group_by = same(&all.group_by, &set.group_by);
        all.image_pixels = both(&all.image_pixels, &set.image_pixels, |a, b| *a.max(b));
        all.prompt_tokens = both(&all.prompt_tokens, &set.prompt_tokens, |a, b| *a.max(b));
        add_sources(&mut all.sources, &set.sources);
        all.licence = match (all.licence.get(), set.licence.get()) {
            (Some(known), Some(more)) if !known.split(" AND ").any(|one| one == more) => {
                Fact::new(format!("{known} AND {more}"), all.licence.said().clone())
            }
            _ => all.licence.or(set.licence.clone()),
        };
    }
    all
}

/// Can a port have this name? References cut at dots and brackets, so that it can have none of them.
pub fn is_port(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain)
}

/// What is known of both.
fn both<T>(one: &Fact<T>, other: &Fact<T>, join: impl Fn(&T, &T) -> T) -> Fact<T> {
    match (one.get(), other.get()) {
        (Some(a), Some(b)) => Fact::new(join(a, b), one.said().clone()),
        _ => Fact::default(),
    }
}

/// What is the same of both.
fn same<T: PartialEq + Clone>(one: &Fact<T>, other: &Fact<T>) -> Fact<T> {
    if one.get() == other.get() { one.clone() } else { Fact::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(columns: &[&str], role: Role, licence: &str) -> DataType {
        DataType {
            columns: Fact::known(columns.iter().map(|name| (*name).to_owned()).collect()),
            images: Fact::known(columns.contains(&"images")),
            role,
            licence: Fact::known(licence.to_owned()),
            rows: Fact::known(7),
            image_pixels: Fact::known(columns.len()),
            ..DataType::default()
        }
    }

    #[test]
    fn sets_put_together_keep_what_holds_for_all() {
        let text = data(&["prompt", "answer", "task"], Role::Train, "mit");
        let images = data(&["prompt", "answer", "images", "level"], Role::Eval, "cc-by-nc-4.0");
        let all = together(&[&text, &images, &text]);
        let columns: Vec<_> = all.columns.get().unwrap().iter().map(String::as_str).collect();
        assert_eq!(columns, ["answer", "images", "prompt"]);
        assert_eq!((all.role, all.images.get(), all.rows.get()), (Role::Eval, Some(&true), None));
        assert_eq!(all.licence.get().unwrap(), "mit AND cc-by-nc-4.0");
        assert_eq!(all.image_pixels.get(), Some(&4));
        let unknown = together(&[&text, &DataType::default()]);
        assert_eq!((unknown.columns.get(), unknown.images.get()), (None, None), "nothing is known of one of them");
        assert_eq!(unknown.licence.get().unwrap(), "mit");
    }
}
