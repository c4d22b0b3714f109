//! Stages of an arm put in another order or left out, after references were replaced: the models of a chain follow each
//! other anew, and what needs a stage that is gone goes with it.

use std::collections::BTreeSet;

use super::Chain;
use crate::diagnostic::{Diagnostic, suggest};
use crate::recipe::{At, Entry, Node, Table, head, items, references};

/// Port whose edges make a chain.
const MODEL: &str = "model";

/// Is it the port, or a state of what is on it (`model@best`)?
fn is_model(port: &str) -> bool {
    port.split('@').next() == Some(MODEL)
}

/// Arranges the stages of a chain as `order` says; the names of members left out come back.
///
/// A member whose best state, or another, the next one starts from gives that state to whichever comes next.
pub(super) fn arrange(
    stages: &mut Table,
    chain: &Chain,
    order: &[usize],
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let members = &chain.members;
    let mut starts: Vec<String> = Vec::new();
    for (place, member) in members.iter().enumerate() {
        let Some(Node::Table(stage)) = stages.get(&member.value).map(|entry| &entry.value.value) else {
            let help = suggest(&member.value, "stages", stages.0.keys().map(String::as_str));
            let unknown = Diagnostic::error("chain", format!("there is no stage `{}`", member.value));
            mistakes.push(unknown.at(member.span, "").help(help));
            return None;
        };
        let start = start_of(stage);
        let before = place.checked_sub(1).map(|place| &members[place]);
        let fits = |at: &At<&str>| before.is_none_or(|before| head(at.value) == before.value);
        let Some(start) = start.filter(fits) else {
            let whose =
                before.map_or_else(|| "a model".to_owned(), |before| format!("the model of `{}`", before.value));
            let message = format!("stage `{}` of the chain does not start from {whose}", member.value);
            let mut wrong = Diagnostic::error("chain", message).at(member.span, "");
            if let Some(found) = start_of(stage) {
                wrong = wrong.at(found.span, "it starts from this");
            }
            mistakes.push(wrong.help("a chain lists stages in the order in which the recipe has them"));
            return None;
        };
        starts.push(start.value.to_owned());
    }
    let last_before = format!("{}.", members[members.len() - 1].value);
    let last_now = &members[*order.last()?].value;
    let in_chain: BTreeSet<&str> = members.iter().map(|member| member.value.as_str()).collect();
    // Who stands outside and takes what the chain ends with takes it from its new end.
    for (_, entry) in stages.0.iter_mut().filter(|(name, _)| !in_chain.contains(name.as_str())) {
        let Node::Table(stage) = &mut entry.value.value else { continue };
        for reference in inputs(stage) {
            if let Some(port) = reference.strip_prefix(&last_before).filter(|port| is_model(port)) {
                *reference = format!("{last_now}.{port}");
            }
        }
    }
    for (place, &member) in order.iter().enumerate() {
        let start = match place.checked_sub(1) {
            None => starts[0].clone(),
            Some(before) => {
                let before = order[before];
                let next = starts.get(before + 1).and_then(|start| start.strip_prefix(&members[before].value));
                let port = next.and_then(|port| port.strip_prefix('.')).filter(|port| is_model(port)).unwrap_or(MODEL);
                format!("{}.{port}", members[before].value)
            }
        };
        if let Some(Node::Table(stage)) = stages.0.get_mut(&members[member].value).map(|entry| &mut entry.value.value)
            && let Some(Node::Table(inputs)) = stage.0.get_mut("inputs").map(|entry| &mut entry.value.value)
            && let Some(entry) = inputs.0.get_mut(MODEL)
        {
            entry.value.value = Node::String(start);
        }
    }
    let left_out = (0..members.len()).filter(|member| !order.contains(member));
    Some(left_out.map(|member| members[member].value.clone()).collect())
}

/// Takes stages out, and with them items of `each` that name them, stages that read from them and gates that are about them;
/// the names of the latter two come back, those of gates as `gates.x`.
pub(super) fn leave_out(table: &mut Table, names: &[String]) -> Vec<String> {
    let before = stages_of(table);
    let mut gone: BTreeSet<String> = names.iter().cloned().collect();
    let mut followed = Vec::new();
    if let Some(stages) = below(table, "stages") {
        stages.0.retain(|name, _| !gone.contains(name));
        loop {
            let mut next = Vec::new();
            for (name, entry) in &mut stages.0 {
                if let Node::Table(stage) = &mut entry.value.value
                    && !keep(stage, &gone)
                {
                    next.push(name.clone());
                }
            }
            if next.is_empty() {
                break;
            }
            for name in next {
                stages.0.remove(&name);
                gone.insert(name.clone());
                followed.push(name);
            }
        }
    }
    if let Some(settings) = below(table, "runtime").and_then(|runtime| below(runtime, "stages")) {
        settings.0.retain(|name, _| !gone.contains(plain(name)));
    }
    let after = stages_of(table);
    let lost = |name: &str| before.contains(name) && !after.contains(name);
    if let Some(gates) = below(table, "gates") {
        let idle = gates.0.extract_if(.., |_, entry| !stands(&mut entry.value.value, &lost));
        followed.extend(idle.map(|(name, _)| format!("gates.{name}")));
    }
    followed
}

/// Names of all stages: entries, and the items of their `each`.
fn stages_of(table: &Table) -> BTreeSet<String> {
    let Some(Node::Table(stages)) = table.get("stages").map(|entry| &entry.value.value) else { return BTreeSet::new() };
    let mut names = BTreeSet::new();
    for (name, entry) in &stages.0 {
        names.insert(name.clone());
        if let Node::Table(stage) = &entry.value.value {
            names.extend(items(stage).unwrap_or_default().into_iter().map(|item| format!("{name}[{item}]")));
        }
    }
    names
}

/// Takes lost stages out of a gate's `after`; `false` if there is nothing left to stand after or to measure.
fn stands(gate: &mut Node, lost: &dyn Fn(&str) -> bool) -> bool {
    let Node::Table(gate) = gate else { return true };
    if let Some(Node::String(require)) = gate.get("require").map(|entry| &entry.value.value)
        && let Ok(require) = crate::gate::parse(require)
        && require.mentions.iter().any(|mention| lost(&mention.stage))
    {
        return false;
    }
    match gate.0.get_mut("after").map(|entry| &mut entry.value.value) {
        Some(Node::String(name)) => !lost(name),
        Some(Node::Array(names)) => {
            let written = names.len();
            names.retain(|item| !matches!(&item.value, Node::String(name) if lost(name)));
            written == 0 || !names.is_empty()
        }
        _ => true,
    }
}

/// Takes what is gone out of a stage; `false` if the stage can't do without.
fn keep(stage: &mut Table, gone: &BTreeSet<String>) -> bool {
    let is_gone = |reference: &str| gone.contains(plain(head(reference)));
    if let Some(Node::Array(after)) = stage.0.get_mut("after").map(|entry| &mut entry.value.value) {
        after.retain(|item| !matches!(&item.value, Node::String(other) if is_gone(other)));
    }
    let Some(listed) = items(stage) else {
        return !references(stage).iter().any(|(_, at)| is_gone(at.value));
    };
    let reads_gone = |item: &str| references(stage).iter().any(|(_, at)| is_gone(&at.value.replace("${each}", item)));
    let out: BTreeSet<String> = listed.iter().filter(|item| reads_gone(item)).map(|item| (*item).to_owned()).collect();
    let all = !listed.is_empty() && listed.iter().all(|item| out.contains(*item));
    if let Some(Node::Array(items)) = stage.0.get_mut("each").map(|entry| &mut entry.value.value) {
        items.retain(|item| !matches!(&item.value, Node::String(item) if out.contains(item)));
    }
    !all
}

fn start_of(stage: &Table) -> Option<At<&str>> {
    references(stage).into_iter().find(|(port, _)| *port == MODEL).map(|(_, at)| at)
}

fn inputs(stage: &mut Table) -> impl Iterator<Item = &mut String> {
    let inputs = match stage.0.get_mut("inputs").map(|entry| &mut entry.value.value) {
        Some(Node::Table(inputs)) => Some(inputs),
        _ => None,
    };
    inputs.into_iter().flat_map(|inputs| inputs.0.values_mut()).filter_map(|Entry { value, .. }| {
        match &mut value.value {
            Node::String(text) => Some(text),
            _ => None,
        }
    })
}

fn below<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    match &mut table.0.get_mut(key)?.value.value {
        Node::Table(table) => Some(table),
        _ => None,
    }
}

/// `score[mrl]` → `score`.
fn plain(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}
