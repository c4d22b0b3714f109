//! Kinds → JSON Schema (draft 7) of a whole recipe, for completion and hover in editors. `check` gives the real messages.
//!
//! Shaped for the two common TOML language servers: an absolute `$id`, `patternProperties` instead of `propertyNames`, and a
//! stage's parameters chosen by `if`/`then` on `kind`, because `oneOf` turns every typo into "matches no schema". No key of an
//! entry is required: what a file leaves out may stand in what it extends, or in what a scale is laid over.

use serde_json::{Map, Value, json};

use super::{LAYOUTS, SCHEMA};
use crate::stage::AnyKind;

/// Where the schema of this format is published.
const ID: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/main/recipes/schema.json");
const NAME: &str = "^[a-z0-9_-]+$";
/// A dotted path to a value.
const PATH: &str = r"^(recipe|params|models|data|stages|gates|runtime)(\.[^.]+)+$";
/// A string that is one reference, allowed wherever another type is.
const REFERENCE: &str = r"^\$\{[^}]+\}$";

/// The schema of a recipe made of these kinds.
pub fn schema(kinds: &[&'static dyn AnyKind]) -> Value {
    let mut definitions = Map::new();
    let mut rules = Vec::new();
    for kind in kinds {
        let params = params_schema(*kind, &mut definitions);
        definitions.insert(format!("{}.params", kind.name()), params);
        rules.push(json!({
            "if": { "properties": { "kind": { "const": kind.name() } }, "required": ["kind"] },
            "then": { "properties": { "params": { "$ref": format!("#/definitions/{}.params", kind.name()) } } },
        }));
    }
    definitions.insert("stage".into(), stage(kinds, &rules));
    definitions.insert("runtime".into(), closed(&runtime(), &[]));
    let mut whole_runtime = runtime();
    merge(
        &mut whole_runtime,
        &json!({
            "jobs": { "type": "integer", "minimum": 1, "description": "Stages to run at the same time." },
            "stages": {
                "type": "object", "description": "Settings of single stages, over the common ones.",
                "additionalProperties": { "$ref": "#/definitions/runtime" },
            },
        }),
    );
    let mut properties = json!({
        "schema": { "const": SCHEMA, "description": "The format of this file." },
        "extends": strings("Recipes that this one lays itself over, relative to this file."),
        "unset": strings("Dotted keys to remove from what this recipe extends."),
        "recipe": closed(&json!({
            "name": { "type": "string", "description": "What reports call it." },
            "description": { "type": "string" },
            "seed": { "type": "integer", "minimum": 0, "default": 0, "description": "Root of all randomness." },
        }), &[]),
        "params": { "type": "object", "additionalProperties": true, "description": "Values that the rest of the recipe names: `${params.NAME}`." },
        "models": named(&model(), "Models from outside."),
        "data": named(&data(), "Rows from outside."),
        "stages": named(&json!({ "$ref": "#/definitions/stage" }), "What is done. An input is an edge of the graph."),
        "gates": named(&gate(), "What has to be so before the stages behind it start."),
        "runtime": closed(&whole_runtime, &[]),
    });
    merge(&mut properties, &variation());
    definitions.insert("layer".into(), closed(&properties, &[]));
    merge(
        &mut properties,
        &json!({
            "scale": { "type": "string", "description": "Which of the `[scales]` lies under this file; `--set scale=NAME`." },
            "scales": named(&json!({ "$ref": "#/definitions/layer" }), "Layers of which one lies under the rest of this file."),
        }),
    );
    let mut schema = closed(&properties, &[]);
    merge(
        &mut schema,
        &json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": ID,
            "title": "curricle recipe",
            "required": ["schema"],
            "definitions": definitions,
        }),
    );
    schema
}

fn stage(kinds: &[&'static dyn AnyKind], rules: &[Value]) -> Value {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let mut stage = closed(
        &json!({
            "kind": { "enum": names, "description": "What the stage does." },
            "inputs": {
                "type": "object", "additionalProperties": { "type": "string" },
                "description": "Port = `STAGE.PORT`, `models.NAME`, `data.NAME` or `data.NAME.SPLIT`.",
            },
            "params": { "type": "object", "additionalProperties": true, "description": "Parameters of the kind." },
            "each": {
                "type": ["array", "string"], "items": { "type": "string" },
                "description": "One stage per item; `${each}` is the item.",
            },
            "after": strings("Stages that only have to be over first."),
            "description": { "type": "string" },
        }),
        &[],
    );
    merge(&mut stage, &json!({ "allOf": rules }));
    stage
}

fn model() -> Value {
    closed(
        &json!({
            "source": source(),
            "revision": { "type": "string", "description": "Branch, tag or commit on the hub." },
            "licence": { "type": "string", "description": "As the hub spells it: `apache-2.0`, `cc-by-nc-4.0`." },
            "assume": closed(&json!({
                "architecture": { "type": "string", "description": "`model_type` of its `config.json`." },
                "images": { "type": "boolean", "description": "Can it read images?" },
                "max_length": { "type": "integer", "minimum": 1, "description": "Longest sequence in tokens." },
                "vocabulary": { "type": "integer", "minimum": 1, "description": "Number of tokens." },
                "added_tokens": strings("Every token that was added to its vocabulary, such as `<think>`."),
                "embedding": { "type": "integer", "minimum": 1, "description": "Rows of its embedding." },
                "tied": { "type": "boolean", "description": "Is the embedding its head, too?" },
                "template": { "type": "boolean", "description": "Has it a chat template?" },
                "min_pixels": { "type": "integer", "minimum": 1, "description": "Smaller images are enlarged." },
                "max_pixels": { "type": "integer", "minimum": 1, "description": "Larger images are reduced." },
                "adapter": { "type": "boolean", "description": "Does a low-rank adapter stand beside its weights?" },
                "precision": { "type": "string", "description": "Number format of its weights: `bf16`." },
                "config": {
                    "type": "object", "additionalProperties": true,
                    "description": "For estimates: the fields of its config.json that say how large it is.",
                },
            }), &[]),
        }),
        &[],
    )
}

fn data() -> Value {
    closed(
        &json!({
            "source": source(),
            "revision": { "type": "string", "description": "Branch, tag or commit on the hub." },
            "licence": { "type": "string", "description": "As the hub spells it: `apache-2.0`, `cc-by-nc-4.0`." },
            "layout": {
                "enum": LAYOUTS.map(|layout| layout.name),
                "description": "How the data set names and writes its columns; `columns` wins over it.",
            },
            "files": { "type": "string", "description": "Which files of a folder hold the rows: `train-*`, `data/test-*.parquet`." },
            "columns": {
                "type": "object", "additionalProperties": { "type": "string" },
                "description": "Field of a row = column of the file.",
            },
            "answer_marker": { "type": "string", "description": "Text between reasoning and answer in the answer column." },
            "group_by": { "type": "string", "description": "Column whose equal values stay in one split." },
            "splits": {
                "type": "object", "additionalProperties": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
                "description": "Share of each split; they add up to 1.",
            },
            "limit": { "type": "integer", "minimum": 0, "description": "Takes at most this many rows." },
            "waive": {
                "type": "object", "additionalProperties": { "type": "string" },
                "description": "Name of other data = why it does no harm that rows are in both.",
            },
            "role": { "enum": ["train", "eval"], "default": "train", "description": "`eval` may never reach training." },
            "assume": closed(&json!({
                "images": { "type": "boolean", "description": "Do rows carry images?" },
                "columns": strings("Fields that rows have."),
                "rows": { "type": "integer", "minimum": 0, "description": "How many rows there are." },
                "answers": { "enum": ["number", "letter", "text", "mixed"], "description": "What answers look like." },
                "prompt_tokens": { "type": "integer", "minimum": 0, "description": "Tokens of the longest prompt." },
                "answer_tokens": { "type": "integer", "minimum": 0, "description": "For estimates: tokens to learn of a row." },
                "pixels": { "type": "integer", "minimum": 1, "description": "For estimates: pixels of an image." },
            }), &[]),
        }),
        &[],
    )
}

fn gate() -> Value {
    closed(
        &json!({
            "after": {
                "type": ["string", "array"], "items": { "type": "string" },
                "description": "The stage, or stages, behind which it stands: what comes after them waits for it.",
            },
            "require": {
                "type": "string",
                "description": "`score[mrl].accuracy >= score[cold_start].accuracy - 0.01`: `STAGE.METRIC`, numbers, `+`, `-`, `*` and one of `>=`, `>`, `<=`, `<`.",
            },
            "method": {
                "enum": ["paired-bootstrap", "point"], "default": "paired-bootstrap",
                "description": "By the items that both sides scored, resampled; or by the values as they are.",
            },
            "confidence": {
                "type": ["number", "string"], "minimum": 0.5, "exclusiveMaximum": 1, "default": 0.95, "pattern": REFERENCE,
                "description": "With `paired-bootstrap`: of the one-sided interval that has to hold.",
            },
            "on_fail": {
                "enum": ["stop", "warn"], "default": "stop",
                "description": "`stop`: what waits does not start, and the run ends with exit code 5. `warn`: it is told.",
            },
            "description": { "type": "string" },
        }),
        &[],
    )
}

fn runtime() -> Value {
    json!({
        "device": {
            "type": "string", "pattern": r"^(auto|cpu(\*[1-9][0-9]*)?|cuda(:([0-9]+(,[0-9]+)*|all))?|\$\{[^}]+\})$", "default": "auto",
            "description": "`cuda:0,1` and `cuda:all` are several GPUs that share each step; `cpu*2` is the CPU in two shares.",
        },
        "threads": { "type": "integer", "minimum": 0, "default": 0, "description": "0 takes every core." },
        "checkpoint_every": { "type": "integer", "minimum": 0, "default": 50, "description": "Steps between checkpoints." },
        "gradient_checkpointing": {
            "type": "boolean", "default": false,
            "description": "Compute every layer twice in training instead of keeping its operations: less memory, more time.",
        },
        "tui": { "type": "boolean", "default": false, "description": "Show the training dashboard." },
    })
}

/// `[seeds]`, `[matrix]` and `[ablations]`.
fn variation() -> Value {
    let seed = json!({ "type": "integer", "minimum": 0 });
    let paths = |value: Value, description: &str| json!({ "type": "object", "description": description, "patternProperties": { PATH: value }, "additionalProperties": false });
    let values = json!({ "type": "array", "minItems": 1 });
    let cells = |description: &str| json!({ "type": "array", "items": paths(json!({ "additionalProperties": true }), "Values by dotted path."), "description": description });
    let mut matrix = paths(values.clone(), "Values by dotted path, every combination: `\"params.lr\" = [1e-6, 2e-6]`.");
    merge(
        &mut matrix,
        &json!({ "properties": {
            "include": cells("Values added to the combinations that they do not contradict, or combinations of their own."),
            "exclude": cells("Combinations left out."),
        } }),
    );
    let ablation = closed(
        &json!({
            "description": { "type": "string" },
            "set": paths(json!({ "additionalProperties": true }), "Values by dotted path; each replaces the whole of what stands there."),
            "unset": strings("Dotted paths to remove; with a stage goes what needs it."),
            "each": paths(values, "Values by dotted path, one arm for each."),
            "chain": strings("Stages whose models follow each other, in the order of the recipe."),
            "fixed": strings("Stages of the chain that keep their place."),
            "permute": { "type": "boolean", "default": false, "description": "Every order of the chain." },
            "subsets": { "type": "boolean", "default": false, "description": "Every choice of stages of the chain." },
            "drop": {
                "type": ["boolean", "array"], "items": { "type": "string" },
                "description": "The chain without one of its stages, or without one of these, in turn.",
            },
            "swap": {
                "type": "array", "description": "The chain with these pairs in each other's place.",
                "items": { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 },
            },
        }),
        &[],
    );
    json!({
        "seeds": closed(&json!({
            "values": { "type": "array", "items": seed, "minItems": 1, "uniqueItems": true, "description": "Seeds, over `[recipe] seed`." },
            "count": { "type": "integer", "minimum": 1, "description": "Instead of `values`: that many seeds from `first` on." },
            "first": { "type": "integer", "minimum": 0, "default": 1, "description": "With `count`: the first seed." },
            "from": strings("Stages at which the seeds begin to count; what comes before them is done once."),
        }), &[]),
        "matrix": matrix,
        "ablations": named(&ablation, "Arms beside the recipe as written, sharing what they have in common."),
    })
}

fn source() -> Value {
    json!({ "type": "string", "description": "`file:PATH` (relative to this file) or `hf:ORG/NAME`." })
}

fn strings(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn closed(properties: &Value, required: &[&str]) -> Value {
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        merge(&mut table, &json!({ "required": required }));
    }
    table
}

fn named(entry: &Value, description: &str) -> Value {
    json!({
        "type": "object", "description": description, "patternProperties": { NAME: entry }, "additionalProperties": false,
    })
}

fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

/// A kind's schema, with its definitions moved beside those of the other kinds.
fn params_schema(kind: &dyn AnyKind, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = kind.schema();
    adapt(&mut schema, kind.name(), None);
    if let Value::Object(root) = &mut schema {
        root.remove("$schema");
        root.remove("title");
        if let Some(Value::Object(own)) = root.remove("definitions") {
            definitions.extend(own.into_iter().map(|(name, value)| (format!("{}.{name}", kind.name()), value)));
        }
    }
    schema
}

/// Renames `$ref`s, and lets a reference stand wherever a number, boolean or list is asked for.
fn adapt(schema: &mut Value, kind: &str, key: Option<&str>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace("#/definitions/", &format!("#/definitions/{kind}."));
            }
            let scalar = |ty: &Value| matches!(ty.as_str(), Some("number" | "integer" | "boolean" | "array"));
            let widened = match map.get("type") {
                Some(ty) if scalar(ty) => Some(json!([ty, "string"])),
                Some(Value::Array(types)) if types.iter().any(scalar) && !types.contains(&json!("string")) => {
                    Some(types.iter().cloned().chain([json!("string")]).collect())
                }
                _ => None,
            };
            if let Some(types) = widened.filter(|_| key != Some("properties")) {
                map.insert("type".into(), types);
                map.insert("pattern".into(), json!(REFERENCE));
            }
            for (name, value) in map.iter_mut().filter(|(name, _)| *name != "default" && *name != "const") {
                adapt(value, kind, (key != Some("properties")).then_some(name.as_str()));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, kind, None)),
        _ => {}
    }
}
