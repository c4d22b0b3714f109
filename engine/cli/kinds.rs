//! `curricle kinds`: what a stage can be, as the kinds themselves describe it.

use std::fmt::Write as _;

use curricle_engine::diagnostic::suggest;
use curricle_engine::stage::AnyKind;
use curricle_stages::KINDS;
use serde_json::{Map, Value, json};

use crate::args::{KindsArgs, KindsVerb};
use crate::exit::{Exit, Failure};
use crate::paint::{Paint, Tint};

/// Lists the kinds, or describes one.
pub fn run(args: &KindsArgs, paint: Paint) -> Result<Exit, Failure> {
    match &args.what {
        None | Some(KindsVerb::List) if args.json => {
            let kinds: Vec<_> = KINDS.iter().map(|kind| head(*kind)).collect();
            paint.json(&json!({ "schema": 1, "kinds": kinds }))?;
        }
        None | Some(KindsVerb::List) => {
            for kind in KINDS {
                let name = paint.out_tint(Tint::Bold, &format!("{:<12}", kind.name()));
                paint.data(&format!("{name} {}\n", kind.summary()))?;
            }
        }
        Some(KindsVerb::Show { name }) => {
            let Some(kind) = KINDS.iter().find(|kind| kind.name() == name) else {
                let help = suggest(name, "kinds", KINDS.iter().map(|kind| kind.name()));
                return Err(Failure::new(Exit::Usage, format!("there is no kind `{name}`; {help}")));
            };
            if args.json {
                paint.json(&document(*kind))?;
            } else {
                paint.data(&describe(*kind, paint))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn head(kind: &dyn AnyKind) -> Value {
    json!({ "name": kind.name(), "version": kind.version(), "summary": kind.summary() })
}

fn document(kind: &dyn AnyKind) -> Value {
    let mut document = json!({ "schema": 1, "kind": head(kind), "params": kind.schema() });
    if let Ok(stage) = kind.decode(&json!({})) {
        let ports = stage.ports();
        document["ports"] = json!({ "inputs": ports.inputs, "outputs": ports.outputs });
        document["metrics"] = stage.metrics().into_iter().map(|metric| metric.name).collect();
    }
    document
}

fn describe(kind: &dyn AnyKind, paint: Paint) -> String {
    let heading = |text: &str| paint.out_tint(Tint::Bold, text);
    let mut out = format!("{}\n{}\n", heading(kind.name()), kind.summary());
    // Ports may depend on parameters: these are those of the defaults.
    if let Ok(stage) = kind.decode(&json!({})) {
        let ports = stage.ports();
        let _ = writeln!(out, "\n{}", heading("inputs"));
        for port in &ports.inputs {
            let need = if port.required { "" } else { ", may be left out" };
            let trains = if port.trains { ", learned from" } else { "" };
            let _ = writeln!(out, "  {:<10} {}{need}{trains}", port.name, port.kind.with_article());
        }
        let _ = writeln!(out, "\n{}", heading("outputs"));
        for port in &ports.outputs {
            let _ = writeln!(out, "  {:<10} {}", port.name, port.kind.with_article());
        }
        let metrics: Vec<String> = stage.metrics().into_iter().map(|metric| metric.name).collect();
        if !metrics.is_empty() {
            let _ = writeln!(out, "\n{}\n  {}", heading("metrics, for gates"), metrics.join(", "));
        }
    }
    let schema = kind.schema();
    let _ = writeln!(out, "\n{}", heading("params"));
    let mut params = Params { root: &schema, paint, out: String::new() };
    params.table(&schema, 1);
    if params.out.is_empty() {
        params.out.push_str("  none\n");
    }
    out + &params.out
}

/// Parameters as an indented list: name, type, default, description.
struct Params<'a> {
    root: &'a Value,
    paint: Paint,
    out: String,
}

impl<'a> Params<'a> {
    fn table(&mut self, schema: &'a Value, depth: usize) {
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.property(name, property, required.contains(&name.as_str()), depth);
        }
    }

    fn property(&mut self, name: &str, property: &'a Value, required: bool, depth: usize) {
        let indent = "  ".repeat(depth);
        let target = self.resolve(property);
        let mut facts = self.type_of(target);
        match property.get("default") {
            Some(Value::Null) => {}
            Some(default) => {
                let _ = write!(facts, " = {default}");
            }
            None if required => facts.push_str(", required"),
            None => {}
        }
        let name = self.paint.out_tint(Tint::Cyan, name);
        let facts = self.paint.out_tint(Tint::Dim, &facts);
        let _ = writeln!(self.out, "{indent}{name}  {facts}");
        let description = property.get("description").or_else(|| target.get("description")).and_then(Value::as_str);
        for line in description.unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(self.out, "{indent}    {}", line.trim());
        }
        if depth < 4 {
            self.below(target, depth + 1);
        }
    }

    fn below(&mut self, schema: &'a Value, depth: usize) {
        if schema.get("properties").is_some() {
            self.table(schema, depth);
        }
        if schema.get("additionalProperties").is_some_and(Value::is_object) {
            self.property("NAME", &schema["additionalProperties"], false, depth);
        }
        for one in alternatives(schema) {
            let one = self.resolve(one);
            let constant = one["properties"].as_object().and_then(|properties| constant(properties));
            if let Some((key, value)) = constant {
                let _ = writeln!(self.out, "{}{key} = {value}", "  ".repeat(depth));
                for (name, property) in
                    one["properties"].as_object().into_iter().flatten().filter(|(name, _)| *name != key)
                {
                    self.property(name, property, false, depth + 1);
                }
            } else if one.get("properties").is_some() {
                self.table(one, depth);
            }
        }
    }

    /// Follows references, through `Option` and through a lone `allOf`.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self.root.pointer(target.trim_start_matches('#')).map_or(schema, |target| self.resolve(target));
        }
        let mut real = alternatives(schema).iter().filter(|one| one["type"] != "null");
        match (real.next(), real.next()) {
            (Some(only), None) => self.resolve(only),
            _ => schema,
        }
    }

    fn type_of(&self, schema: &'a Value) -> String {
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
        }
        let constants: Vec<_> =
            alternatives(schema).iter().filter_map(|one| one.get("const")).map(Value::to_string).collect();
        if !constants.is_empty() {
            return constants.join(" | ");
        }
        match &schema["type"] {
            Value::String(ty) if ty == "array" => format!("list of {}", self.type_of(self.resolve(&schema["items"]))),
            Value::String(ty) if ty == "object" => "table".into(),
            Value::String(ty) => ty.clone(),
            Value::Array(types) => {
                types.iter().filter_map(Value::as_str).filter(|ty| *ty != "null").collect::<Vec<_>>().join(" or ")
            }
            _ if !alternatives(schema).is_empty() => "table".into(),
            _ => "value".into(),
        }
    }
}

fn alternatives(schema: &Value) -> &[Value] {
    let list = ["oneOf", "anyOf", "allOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    list.map(Vec::as_slice).unwrap_or_default()
}

/// The key that tells alternatives apart: `kind = "pad"`.
fn constant(properties: &Map<String, Value>) -> Option<(&String, &Value)> {
    properties.iter().find_map(|(key, property)| property.get("const").map(|constant| (key, constant)))
}
