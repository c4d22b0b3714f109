//! Can the model on `reference` score what the model on `model` writes? It has to know the same tokens under the same ids
//! and to see the same images. Refuses to know how a score is computed.

use curricle_engine::diagnostic::Severity;
use curricle_engine::stage::{Difference, Known, ModelType, PortTypes, Problems};

use super::Params;
use crate::fit;

const HELP: &str = "use a state of the model itself: that of a stage after which no tokens were added";

/// Reports a reference that does not fit the model, or that is never asked.
pub(super) fn check(params: &Params, inputs: &PortTypes, problems: &mut Problems) {
    let Some(reference) = inputs.model("reference") else { return };
    fit::readable("reference", inputs, problems);
    if let Some(model) = inputs.model("model") {
        tokens(model, reference, problems);
    }
    let data = inputs.data("data").filter(|data| data.images.is(&true));
    if let Some(data) = data.filter(|_| reference.images.is(&false)) {
        problems.input("reference", "reads text only, and the rows have images", "use a model that reads images");
        problems.see(&reference.images, "reads text only");
        problems.see(&data.images, "rows with images");
    }
    if params.kl.coef == 0.0 {
        let help = "set it above 0, or leave the input out";
        problems.warn("kl.coef", "is 0, so the model on `reference` is never asked", help);
        problems.see_input("reference", "never asked");
    }
}

fn tokens(model: &ModelType, reference: &ModelType, problems: &mut Problems) {
    let (Some(ours), Some(theirs)) = (model.tokenizer.get(), reference.tokenizer.get()) else {
        return unseen(model, reference, problems);
    };
    if let Some(Difference { token, first, second }) = ours.difference(theirs) {
        let has = |known| match known {
            Known::Id(id) => format!("has `{token}` as id {id}"),
            Known::There => format!("has `{token}`"),
            Known::Missing | Known::Unknown => format!("has no token `{token}`"),
        };
        let message = format!("{}, and the model {}: their probabilities can't be compared", has(second), has(first));
        problems.input("reference", message, HELP);
        problems.see(&model.tokenizer, format!("the model's tokenizer {}", has(first)));
        problems.see(&reference.tokenizer, format!("the reference's tokenizer {}", has(second)));
    } else if let (Some(ours), Some(theirs)) = (ours.size, theirs.size)
        && ours != theirs
    {
        let message = format!("knows {theirs} tokens and the model {ours}: their log-probabilities can't be compared");
        problems.input("reference", message, HELP);
        problems.see(&model.tokenizer, format!("{ours} tokens"));
        problems.see(&reference.tokenizer, format!("{theirs} tokens"));
    } else {
        unseen(model, reference, problems);
    }
}

/// Tokens were added to the model, and whether the reference has them can't be seen.
fn unseen(model: &ModelType, reference: &ModelType, problems: &mut Problems) {
    let unknown = |token: &&String| reference.tokenizer.get().is_none_or(|known| known.find(token) == Known::Unknown);
    let Some(token) = model.tokenizer.get().and_then(|ours| ours.added.keys().find(unknown)) else { return };
    let message = format!("may not know `{token}`, which was added to the model: could not verify it");
    let help = "use a later state of the model as reference, or list the tokens that it has: `assume = { added_tokens = […] }`";
    problems.input("reference", message, help);
    problems.only(Severity::Note);
    problems.see(&model.tokenizer, format!("`{token}` was added here"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use curricle_engine::stage::{ArtifactType, Fact, ProblemAt, Tokenizer};

    use super::*;

    fn said(ours: Tokenizer, theirs: Option<Tokenizer>) -> Vec<(Severity, String)> {
        let model = |tokenizer: Option<Tokenizer>| {
            let tokenizer = tokenizer.map(|one| Fact::known(Arc::new(one))).unwrap_or_default();
            ArtifactType::Model(ModelType { tokenizer, ..ModelType::default() })
        };
        let inputs = PortTypes::default().with("model", model(Some(ours))).with("reference", model(theirs));
        let mut problems = Problems::default();
        check(&Params::default(), &inputs, &mut problems);
        let mut found = problems.into_vec();
        assert_eq!(found.pop().map(|last| last.at), Some(ProblemAt::Param("kl.coef".into())), "the default is 0");
        found.into_iter().map(|problem| (problem.severity, problem.message)).collect()
    }

    #[test]
    fn a_reference_has_to_know_the_same_tokens() {
        let sized = |size| Tokenizer { size: Some(size), ..Tokenizer::default() };
        let think = || Tokenizer::default().with(&["<think>".to_owned()]);
        assert!(said(sized(5), Some(sized(5))).is_empty());
        assert!(said(sized(5), Some(sized(6)))[0].1.contains("knows 6 tokens and the model 5"));
        assert!(said(think(), Some(think())).is_empty());
        let declared = Tokenizer { all_added: true, ..Tokenizer::default() };
        let lost = said(think(), Some(declared));
        assert!(lost[0].0 == Severity::Error && lost[0].1.contains("has no token `<think>`"), "{lost:?}");
        for vague in [None, Some(sized(5))] {
            let maybe = said(think(), vague);
            assert!(maybe[0].0 == Severity::Note && maybe[0].1.contains("may not know `<think>`"), "{maybe:?}");
        }
    }
}
