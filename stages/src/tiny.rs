//! Parameters of every kind → those of its tiny sibling, and what stands in for models and rows from outside: what
//! `--tiny` runs. What costs time shrinks; what decides which code runs stays as the recipe has it.
//!
//! ```text
//! sft         2 steps (1 epoch) of 8 rows             grpo        2 steps of 2 prompts × 4 completions of 8 tokens
//! evaluate    4 items × 2 completions of 8 tokens     synthesize  16 rows, 8 held out, drawings of 56 pixels
//! init        2 layers of width 32 in both towers     a model     such an `init`; rows: such a `synthesize`
//! ```
//!
//! A model with random weights answers nothing right, and of groups without a difference most rules select nothing; so a
//! tiny `grpo` is rewarded by `luck` besides. Refuses to know graphs and recipes.

use std::collections::BTreeMap;

use curricle_engine::stage::{ArtifactType, DataType, Fact, Role, StandIn};

use crate::health::{ImageAccuracy, SftHealth};
use crate::kinds::{cluster, difficulty, evaluate, export, grpo, init, sft, synthesize};
use crate::model::config::MODEL_TYPE;

/// Steps of a training stage: one to update the weights, one to go on from them.
const STEPS: usize = 2;
/// Rows to learn from.
const ROWS: usize = 16;
/// Rows to measure on.
const HELD_OUT: usize = 8;
/// Longest completion in tokens.
const TOKENS: usize = 8;
/// Width of both towers.
const WIDTH: usize = 32;
/// Side of a drawing in pixels: the least, four tokens.
const SIDE: usize = 56;
/// Longest sequence where a model does not say its own: no recipe asks for more.
const LENGTH: usize = 131_072;

fn at_most(value: &mut usize, most: usize) {
    *value = (*value).min(most);
}

/// A number of warm-up steps becomes one; a share stays.
fn warm_up(warmup: &mut f64) {
    *warmup = warmup.min(1.0);
}

/// Two tries of a few tokens; rows stay, however hard, or nothing would be left for what follows.
pub fn difficulty(params: &mut difficulty::Params) {
    at_most(&mut params.tries, 2);
    at_most(&mut params.max_new_tokens, TOKENS);
    at_most(&mut params.batch, ROWS);
    (params.least, params.most) = (0.0, 1.0);
}

/// Clusters of the few rows; those in none stay.
pub fn cluster(params: &mut cluster::Params) {
    at_most(&mut params.min_cluster, 2);
    at_most(&mut params.neighbours, 2);
    if params.noise == cluster::Noise::Drop {
        params.noise = cluster::Noise::Join;
    }
}

/// An epoch of the few rows, or two steps.
pub fn sft(params: &mut sft::Params) {
    for (count, most) in [(&mut params.epochs, 1), (&mut params.steps, STEPS)] {
        *count = count.map(|count| count.min(most));
    }
    at_most(&mut params.batch, ROWS / STEPS);
    at_most(&mut params.micro_batch, 4.min(params.batch));
    at_most(&mut params.look_every, 1);
    params.keep.small = true;
    warm_up(&mut params.warmup);
    let SftHealth { solved, image_accuracy } = &mut params.health;
    at_most(&mut solved.rows, 4);
    at_most(&mut solved.samples, 2);
    at_most(&mut solved.max_new_tokens, TOKENS);
    watched(image_accuracy);
}

/// Two steps of two groups.
pub fn grpo(params: &mut grpo::Params) {
    at_most(&mut params.steps, STEPS);
    at_most(&mut params.prompts, 2);
    at_most(&mut params.group, 4);
    at_most(&mut params.updates, 2);
    at_most(&mut params.epochs, 2);
    at_most(&mut params.micro_batch, 4);
    at_most(&mut params.rollout_batch, 8);
    at_most(&mut params.max_new_tokens, TOKENS);
    at_most(&mut params.entropy.warmup, 1);
    at_most(&mut params.select.refill.rounds, 2);
    warm_up(&mut params.warmup);
    if let Some(length) = &mut params.reward.efficient_length {
        at_most(&mut length.budget, TOKENS);
    }
    params.keep.small = true;
    if params.keep.best.is_some() {
        // Looks are means over the window, and a stage without one has no best.
        at_most(&mut params.health.window, 1);
    }
    params.reward.luck = 1.0;
    watched(&mut params.health.image_accuracy);
}

fn watched(watched: &mut ImageAccuracy) {
    at_most(&mut watched.every, 1);
    at_most(&mut watched.rows, 4);
    at_most(&mut watched.max_new_tokens, TOKENS);
}

/// A few items.
pub fn evaluate(params: &mut evaluate::Params) {
    params.limit = Some(params.limit.unwrap_or(4).min(4));
    at_most(&mut params.samples, 2);
    at_most(&mut params.max_new_tokens, TOKENS);
    at_most(&mut params.batch, 8);
}

/// Weights that would be several files still are.
pub fn export(params: &mut export::Params) {
    if let Some(size) = &mut params.max_shard_size {
        "50KB".clone_into(size);
    }
}

/// A few rows of every set.
pub fn synthesize(params: &mut synthesize::Params) {
    at_most(&mut params.train, ROWS);
    at_most(&mut params.test, HELD_OUT);
    at_most(&mut params.image_size, SIDE);
}

/// Two narrow layers; heads share keys and values where they did.
pub fn init(params: &mut init::Params) {
    if params.hidden_size > WIDTH {
        params.hidden_size = WIDTH;
        params.kv_heads = if params.kv_heads < params.heads { 1 } else { 2 };
        params.heads = 2;
    }
    at_most(&mut params.layers, 2);
    at_most(&mut params.intermediate, 2 * WIDTH);
    at_most(&mut params.vocab_size, 512);
    let vision = &mut params.vision;
    if vision.hidden > WIDTH {
        vision.hidden = WIDTH;
        vision.heads = 2;
    }
    at_most(&mut vision.depth, 2);
    at_most(&mut vision.intermediate, 2 * WIDTH);
    at_most(&mut vision.window, 112);
    let whole = !vision.fullatt.is_empty();
    vision.fullatt.retain(|block| *block < vision.depth);
    if whole && vision.fullatt.is_empty() {
        vision.fullatt.push(vision.depth - 1);
    }
}

/// A model with random weights; none for another architecture, or with an adapter, whose base it would need.
pub fn model(ty: &ArtifactType) -> Option<StandIn<init::Params>> {
    let ArtifactType::Model(model) = ty else { return None };
    let foreign = model.architecture.get().is_some_and(|architecture| architecture != MODEL_TYPE);
    if foreign || matches!(model.adapter.get(), Some(Some(_))) {
        return None;
    }
    let mut params = init::Params {
        tie: model.tied.get().copied().unwrap_or(true),
        max_length: model.max_length.get().copied().unwrap_or(LENGTH),
        ..init::Params::default()
    };
    init(&mut params);
    let corpus = ArtifactType::Data(DataType { images: Fact::known(false), ..DataType::default() });
    Some(StandIn { params, port: "model", inputs: vec![("data", corpus)] })
}

/// Questions with written reasoning and answers, about drawings where the rows have images.
pub fn rows(ty: &ArtifactType, salt: u64) -> Option<StandIn<synthesize::Params>> {
    let ArtifactType::Data(data) = ty else { return None };
    let tasks = if data.images.is(&true) { ["count", "more"] } else { ["arithmetic", "word"] };
    let tasks: BTreeMap<_, _> = tasks.map(|task| (task.to_owned(), synthesize::Entry::default())).into();
    let (port, train, test) = match data.role {
        Role::Train => ("train", ROWS, 0),
        Role::Eval => ("test", 0, HELD_OUT),
    };
    let params = synthesize::Params { tasks, train, test, image_size: SIDE, salt };
    Some(StandIn { params, port, inputs: Vec::new() })
}

#[cfg(test)]
mod tests {
    use curricle_engine::stage::{Adapter, ModelType, PortTypes, Problems, StageKind};

    use super::*;

    fn sound<K: StageKind>(params: &K::Params) {
        let mut problems = Problems::default();
        K::validate(params, &mut problems);
        assert_eq!(problems.into_vec(), []);
    }

    #[test]
    fn defaults_become_small_and_stay_sound() {
        fn small<K: StageKind>() -> K::Params {
            let mut params = serde_json::from_str("{}").unwrap();
            K::tiny(&mut params);
            params
        }
        sound::<sft::Sft>(&small::<sft::Sft>());
        sound::<grpo::Grpo>(&small::<grpo::Grpo>());
        sound::<evaluate::Evaluate>(&small::<evaluate::Evaluate>());
        sound::<export::Export>(&small::<export::Export>());
        let model = small::<init::Init>();
        sound::<init::Init>(&model);
        assert_eq!((model.hidden_size, model.heads, model.kv_heads), (WIDTH, 2, 1));
    }

    #[test]
    fn what_decides_which_code_runs_stays() {
        let json = r#"{"steps":200,"prompts":512,"group":8,"updates":4,"objective":"gspo","mean":"sequence","precision":"bf16","freeze":["vision"],
            "warmup":20,"schedule":"cosine","kl":{"coef":0.1},"entropy":{"coef":0.02,"warmup":140},
            "select":{"kind":"pad","low":0.03,"ratio":0.5},"reward":{"efficient_length":{"weight":0.05,"budget":8192}},
            "keep":{"best":"reward","steps":[150]},"stop":{"plateau":{"metric":"accuracy","patience":20}}}"#;
        let large: grpo::Params = serde_json::from_str(json).unwrap();
        let mut small = large.clone();
        grpo(&mut small);
        sound::<grpo::Grpo>(&small);
        assert_eq!((small.steps, small.prompts, small.group, small.updates), (2, 2, 4, 2));
        let lengths = (small.warmup, small.entropy.warmup, small.reward.efficient_length.unwrap().budget);
        assert_eq!(lengths, (1.0, 1, TOKENS));
        let same = |params: &grpo::Params| {
            let grpo::Params { objective, precision, freeze, schedule, kl, lr, select, .. } = params.clone();
            (objective, precision, freeze, schedule, kl, lr.to_bits(), select.kind, select.low.to_bits())
        };
        assert_eq!(same(&small), same(&large));
    }

    #[test]
    fn either_way_to_say_how_long_stays() {
        let small = |json: &str| {
            let mut params: sft::Params = serde_json::from_str(json).unwrap();
            sft(&mut params);
            sound::<sft::Sft>(&params);
            (params.epochs, params.steps, params.batch, params.micro_batch)
        };
        assert_eq!(small(r#"{"epochs":5,"batch":256,"micro_batch":4}"#), (Some(1), None, 8, 4));
        assert_eq!(small(r#"{"steps":900,"batch":32,"micro_batch":16}"#), (None, Some(2), 8, 4));
        assert_eq!(small(r#"{"batch":2,"micro_batch":1}"#), (None, None, 2, 1));
    }

    #[test]
    fn blocks_that_attend_to_all_are_there_still() {
        let json = r#"{"hidden_size":2048,"heads":16,"kv_heads":16,"vision":{"depth":32,"hidden":1280,"heads":16,"fullatt":[7,31]}}"#;
        let mut params: init::Params = serde_json::from_str(json).unwrap();
        init(&mut params);
        sound::<init::Init>(&params);
        assert_eq!((params.heads, params.kv_heads, params.vision.fullatt), (2, 2, vec![1]));
    }

    #[test]
    fn rows_stand_in_for_rows_of_their_role_and_are_never_the_same_twice() {
        let of = |images, role, salt| {
            let ty = ArtifactType::Data(DataType { images, role, ..DataType::default() });
            let made = rows(&ty, salt).unwrap();
            sound::<synthesize::Synthesize>(&made.params);
            let types = synthesize::Synthesize::types(&made.params, &PortTypes::default(), &mut Problems::default());
            let data = types.data(made.port).unwrap().clone();
            (data.images.is(&true), data.role, made.params)
        };
        let (images, role, one) = of(Fact::known(true), Role::Train, 1);
        assert_eq!((images, role), (true, Role::Train));
        assert_ne!(one, of(Fact::known(true), Role::Train, 2).2);
        let (images, role, _) = of(Fact::default(), Role::Eval, 1);
        assert_eq!((images, role), (false, Role::Eval));
    }

    #[test]
    fn a_model_stands_in_for_one_of_its_architecture() {
        let of = |model| self::model(&ArtifactType::Model(model));
        let made = of(ModelType { tied: Fact::known(false), max_length: Fact::known(4096), ..ModelType::default() });
        let params = made.unwrap().params;
        sound::<init::Init>(&params);
        assert_eq!((params.tie, params.max_length), (false, 4096));
        assert!(of(ModelType { adapter: Fact::known(Some(Adapter::default())), ..ModelType::default() }).is_none());
        assert!(of(ModelType { architecture: Fact::known("llama".into()), ..ModelType::default() }).is_none());
    }
}
