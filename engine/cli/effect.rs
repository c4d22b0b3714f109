//! `curricle plan --diff REV`: what an edit of a recipe runs again, as a table that can be posted as a comment.

use std::path::{Path, PathBuf};
use std::process::Command;

use curricle_engine::fs;
use curricle_engine::graph::{Checked, check};
use curricle_engine::plan::{Effect, EffectKind, Plan, Reason, effects};
use curricle_engine::recipe::Recipe;
use curricle_engine::report::table;
use curricle_engine::store::Store;
use curricle_stages::KINDS;
use serde_json::json;

use crate::args::{PlanArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::plan;

/// Longest reason in a table.
const LONGEST: usize = 120;

/// Prints what has changed since a revision. `new` is the plan of what is there now.
pub fn run(args: &PlanArgs, revision: &str, checked: &Checked, new: &Plan, paint: Paint) -> Result<Exit, Failure> {
    let file = &args.recipe.recipe;
    let git = Git::around(file, revision)?;
    let overrides = args.recipe.layers.overrides();
    let old = if git.has(file)? {
        let texts = |path: &Path| git.text(path);
        let recipe = Recipe::load_from(file, &overrides, &texts)?;
        let graph = check(&recipe, KINDS)?.graph;
        plan::make(&graph, &Store::open(&args.store.store), &SelectArgs::default())?
    } else {
        Plan { steps: Vec::new(), ..new.clone() }
    };
    let effects = effects(&old, new, &checked.graph);
    if args.json {
        let list: Vec<_> = effects.iter().map(document).collect();
        paint.json(&json!({
            "schema_version": 1, "recipe": new.recipe, "revision": revision, "summary": summary(&effects), "stages": list,
        }))?;
    } else {
        paint.data(&markdown(file, revision, &effects))?;
    }
    let runs = effects.iter().any(|effect| effect.what.runs());
    Ok(if args.exit_code && runs { Exit::Pending } else { Exit::Done })
}

fn document(effect: &Effect) -> serde_json::Value {
    let mut document = json!(effect);
    let texts: Vec<String> = effect.reasons.iter().map(Reason::to_string).collect();
    document["text"] = json!(texts);
    document
}

/// `2 of 7 stages run again (1 changed, 1 downstream)`.
fn summary(effects: &[Effect]) -> String {
    let count = |what: EffectKind| effects.iter().filter(|effect| effect.what == what).count();
    let words = |kinds: &[EffectKind]| {
        let some = kinds.iter().map(|kind| (count(*kind), kind.word())).filter(|(count, _)| *count > 0);
        some.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    };
    let runs = effects.iter().filter(|effect| effect.what.runs()).count();
    let all = effects.len() - count(EffectKind::Gone);
    let gone = match count(EffectKind::Gone) {
        0 => String::new(),
        count => format!("; {count} gone"),
    };
    match runs {
        0 => format!("nothing runs again; {all} stages unchanged{gone}"),
        runs => {
            let why = words(&[EffectKind::Changed, EffectKind::Downstream, EffectKind::New]);
            format!("{runs} of {all} stages run again ({why}){gone}")
        }
    }
}

fn markdown(file: &Path, revision: &str, effects: &[Effect]) -> String {
    let mut text = format!("**{}** against `{revision}`: {}\n", file.display(), summary(effects));
    let short =
        |key: Option<curricle_engine::store::Key>| key.map_or_else(String::new, |key| format!("`{}`", key.short()));
    let row = |effect: &Effect| {
        let mut why: Vec<String> = effect.reasons.iter().map(|reason| cut(&reason.to_string())).collect();
        if effect.built && effect.what.runs() {
            why.push("already in this store".into());
        }
        let why = why.join("<br>").replace('|', "\\|");
        vec![effect.stage.clone(), effect.what.word().to_owned(), short(effect.old), short(effect.new), why]
    };
    let told: Vec<_> = effects.iter().filter(|effect| effect.what != EffectKind::Same).map(row).collect();
    if !told.is_empty() {
        let head = ["stage", "effect", "key before", "key after", "why"].map(str::to_owned).to_vec();
        text += &format!("\n{}", table(&std::iter::once(head).chain(told).collect::<Vec<_>>()));
    }
    text
}

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A revision of the repository around a file.
struct Git {
    root: PathBuf,
    revision: String,
}

impl Git {
    fn around(file: &Path, revision: &str) -> Result<Self, Failure> {
        let dir = fs::absolute(file).parent().unwrap_or(Path::new("/")).to_owned();
        let root = git(&dir, &["rev-parse", "--show-toplevel"]).map_err(|error| trouble(&error))?;
        let root = fs::absolute(Path::new(root.trim_end()));
        // Written out, so that a revision can't be taken for an option.
        let asked = format!("{revision}^{{commit}}");
        let commit = git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &asked])
            .map_err(|_| Failure::new(Exit::Usage, format!("there is no revision `{revision}`")))?;
        Ok(Self { root, revision: commit.trim().to_owned() })
    }

    /// Was there such a file?
    fn has(&self, file: &Path) -> Result<bool, Failure> {
        let Some(name) = self.name(file) else {
            let message = format!("`{}` is outside of the repository", file.display());
            return Err(Failure::new(Exit::Usage, message));
        };
        let listed = git(&self.root, &["ls-tree", "--name-only", &self.revision, "--", &name]);
        Ok(!listed.map_err(|error| trouble(&error))?.is_empty())
    }

    /// The text of a file then; of one outside of the repository, now.
    fn text(&self, path: &Path) -> Result<String, String> {
        match self.name(path) {
            Some(name) => git(&self.root, &["show", &format!("{}:{name}", self.revision)]),
            None => curricle_engine::recipe::on_disk(path),
        }
    }

    fn name(&self, path: &Path) -> Option<String> {
        // The file itself may be gone since.
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let path = fs::absolute(folder).join(path.file_name()?);
        path.strip_prefix(&self.root).ok().map(|name| name.display().to_string())
    }
}

fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output();
    let output = output.map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    String::from_utf8(output.stdout).map_err(|_| "git gave no text".into())
}

fn trouble(error: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{error}\n  help: `--diff` compares with a revision of the git repository around the recipe"),
    )
}
