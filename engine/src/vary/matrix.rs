//! `[matrix]` → its cells: the product of its lists, without what `exclude` fits, with what `include` adds. The two words
//! mean what they mean in GitHub Actions.

use super::Setting;
use crate::recipe::{At, Node};

/// Most cells of one matrix.
pub(super) const LIMIT: usize = 5000;

/// One key of the matrix and its values.
pub(super) type Axis = (At<String>, Vec<At<Node>>);

/// The cells; `None` if there are more than [`LIMIT`].
pub(super) fn cells(axes: &[Axis], include: &[Vec<Setting>], exclude: &[Vec<Setting>]) -> Option<Vec<Vec<Setting>>> {
    let count = axes.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()))?;
    if count > LIMIT {
        return None;
    }
    let mut cells: Vec<Vec<Setting>> = if axes.is_empty() { Vec::new() } else { vec![Vec::new()] };
    for (path, values) in axes {
        let longer = |cell: &Vec<Setting>| {
            let cell = cell.clone();
            let one = move |value: &At<Node>| {
                let setting = Setting { path: path.clone(), value: Some(value.clone()) };
                cell.iter().cloned().chain([setting]).collect::<Vec<_>>()
            };
            values.iter().map(one).collect::<Vec<_>>()
        };
        cells = cells.iter().flat_map(longer).collect();
    }
    cells.retain(|cell| !exclude.iter().any(|without| without.iter().all(|one| holds(cell, one))));
    // An entry of `include` goes into every cell of the product that it does not contradict; one that fits nowhere is a
    // cell of its own.
    let mut own = Vec::new();
    let product = cells.clone();
    for added in include {
        let mut fits_somewhere = false;
        for (cell, original) in cells.iter_mut().zip(&product) {
            if added.iter().all(|one| !names(original, one) || holds(original, one)) {
                fits_somewhere = true;
                for one in added {
                    match cell.iter_mut().find(|setting| setting.path.value == one.path.value) {
                        Some(setting) => setting.clone_from(one),
                        None => cell.push(one.clone()),
                    }
                }
            }
        }
        if !fits_somewhere {
            own.push(added.clone());
        }
    }
    cells.append(&mut own);
    Some(cells)
}

fn names(cell: &[Setting], one: &Setting) -> bool {
    cell.iter().any(|setting| setting.path.value == one.path.value)
}

fn holds(cell: &[Setting], one: &Setting) -> bool {
    let value = |setting: &Setting| setting.value.as_ref().map(|at| at.value.to_json());
    cell.iter().any(|setting| setting.path.value == one.path.value && value(setting) == value(one))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::{Sources, Span};

    fn setting((path, value): (&str, i64)) -> Setting {
        let span = Span::new(Sources::default().add("x", Path::new("."), ""), 0..0);
        Setting { path: At::new(path.into(), span), value: Some(At::new(Node::Integer(value), span)) }
    }

    fn list(entries: &[&[(&str, i64)]]) -> Vec<Vec<Setting>> {
        entries.iter().map(|entry| entry.iter().copied().map(setting).collect()).collect()
    }

    fn made(include: &[&[(&str, i64)]], exclude: &[&[(&str, i64)]]) -> Vec<String> {
        let axis = |path: &str| {
            let values = [1, 2].map(|value| setting((path, value)).value.unwrap());
            (setting((path, 0)).path, values.to_vec())
        };
        let cells = cells(&[axis("p.a"), axis("p.b")], &list(include), &list(exclude)).unwrap();
        let one = |setting: &Setting| {
            format!("{}{}", &setting.path.value[2..], setting.value.as_ref().unwrap().value.to_json())
        };
        cells.iter().map(|cell| cell.iter().map(one).collect()).collect()
    }

    #[test]
    fn lists_are_multiplied_and_exclude_takes_out() {
        assert_eq!(made(&[], &[]), ["a1b1", "a1b2", "a2b1", "a2b2"]);
        assert_eq!(made(&[], &[&[("p.a", 1)], &[("p.a", 2), ("p.b", 2)]]), ["a2b1"]);
    }

    #[test]
    fn include_widens_cells_that_agree_and_adds_those_that_none_does() {
        let fitting: &[(&str, i64)] = &[("p.a", 1), ("p.c", 9)];
        assert_eq!(made(&[fitting], &[]), ["a1b1c9", "a1b2c9", "a2b1", "a2b2"]);
        assert_eq!(made(&[fitting, &[("p.c", 7)]], &[])[..3], ["a1b1c7", "a1b2c7", "a2b1c7"], "later ones win");
        assert_eq!(made(&[&[("p.a", 3), ("p.b", 1)]], &[]).last().unwrap(), "a3b1");
    }
}
