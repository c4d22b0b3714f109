//! A row → the first rule that it breaks, and what shows it. Refuses to know what an answer means: who calls it brings the
//! judge of answers.
//!
//! | rule | a row goes when |
//! | --- | --- |
//! | `prompt` | its prompt has fewer or more characters than allowed |
//! | `proof` | its prompt asks for a proof, or its answer says that it is one ([`PROOFS`]) |
//! | `answer` | the judge does not take its answer |
//! | `script` | too few letters of its prompt are of the wanted scripts ([`Script`]) |
//! | `image` | an image can't be decoded, or is larger than images may be |
//!
//! A script is no language: Latin letters may be French. It tells apart what matters most, such as Chinese from English,
//! without a model and in the same way everywhere.

use crate::image;
use crate::leak::words::clipped;
use crate::rows::Row;

/// Beginnings of sentences that ask for a proof, in lower case.
pub const PROOFS: [&str; 16] = [
    "prove that",
    "prove the",
    "prove or",
    "prove:",
    "prove it",
    "disprove",
    "show that",
    "demonstrate that",
    "give a proof",
    "write a proof",
    "justify that",
    "verify that",
    "démontrer que",
    "beweise",
    "证明",
    "求证",
];

/// Answers that are no answers, in lower case.
const PROOF_ANSWERS: [&str; 8] =
    ["proof", "q.e.d.", "qed", "see proof", "see solution", "proved", "shown", "证明见解析"];

/// Letters that a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Latin letters, with all their accents.
    Latin,
    /// Greek letters; mathematics in a Latin text has them, too.
    Greek,
    /// Cyrillic letters.
    Cyrillic,
    /// Chinese characters; Japanese texts have them, too.
    Han,
    /// Hiragana and katakana.
    Kana,
    /// Korean syllables.
    Hangul,
    /// Arabic letters.
    Arabic,
    /// Hebrew letters.
    Hebrew,
    /// Devanagari: Hindi, Marathi, Nepali.
    Devanagari,
    /// Thai letters.
    Thai,
}

impl Script {
    /// Is this one of its letters? By Unicode's blocks.
    fn has(self, letter: char) -> bool {
        match self {
            Self::Latin => {
                matches!(letter, 'a'..='z' | 'A'..='Z' | '\u{aa}' | '\u{ba}' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
            }
            Self::Greek => matches!(letter, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}'),
            Self::Cyrillic => matches!(letter, '\u{400}'..='\u{52f}'),
            Self::Han => {
                matches!(letter, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2ffff}')
            }
            Self::Kana => matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'),
            Self::Hangul => matches!(letter, '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}'),
            Self::Arabic => matches!(letter, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}'),
            Self::Hebrew => matches!(letter, '\u{590}'..='\u{5ff}'),
            Self::Devanagari => matches!(letter, '\u{900}'..='\u{97f}'),
            Self::Thai => matches!(letter, '\u{e00}'..='\u{e7f}'),
        }
    }
}

/// Says what is wrong with a row's answer.
pub type Judge<'a> = dyn Fn(&Row) -> Result<(), String> + Sync + 'a;

/// The rules; one that is off lets every row pass.
pub struct Rules<'a> {
    /// Fewest characters of a prompt.
    pub least_prompt: usize,
    /// Most characters of a prompt.
    pub most_prompt: usize,
    /// Drop what asks for a proof.
    pub proofs: bool,
    /// Judges answers.
    pub answer: Option<&'a Judge<'a>>,
    /// Scripts that letters have to be of; any where it names none.
    pub scripts: Vec<Script>,
    /// Share of letters that has to be.
    pub script_share: f64,
    /// Decode every image.
    pub images: bool,
    /// Most pixels of an image.
    pub most_pixels: usize,
}

/// A rule that a row breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// What shows it.
    pub evidence: String,
}

/// Every rule, in the order they are tried.
pub const RULES: [&str; 5] = ["prompt", "proof", "answer", "script", "image"];

impl Rules<'_> {
    /// The first rule that a row breaks; cheap rules come first.
    pub fn broken(&self, row: &Row) -> Option<Broken> {
        let [prompt, proof, answer, script, image] = RULES;
        let broken = |rule, evidence: Option<String>| evidence.map(|evidence| Broken { rule, evidence });
        broken(prompt, self.prompt(row))
            .or_else(|| broken(proof, self.proof(row)))
            .or_else(|| broken(answer, self.answer.and_then(|judge| judge(row).err())))
            .or_else(|| broken(script, self.script(row)))
            .or_else(|| broken(image, self.image(row)))
    }

    fn prompt(&self, row: &Row) -> Option<String> {
        let characters = row.prompt.trim().chars().count();
        let fits = (self.least_prompt..=self.most_prompt).contains(&characters);
        (!fits).then(|| format!("{characters} characters"))
    }

    fn proof(&self, row: &Row) -> Option<String> {
        if !self.proofs {
            return None;
        }
        let answer = row.answer.as_deref().unwrap_or_default().trim().to_lowercase();
        if PROOF_ANSWERS.contains(&answer.as_str()) {
            return Some(format!("its answer is `{answer}`"));
        }
        let prompt = row.prompt.to_lowercase();
        let found = PROOFS.into_iter().find(|words| prompt.match_indices(words).any(|(at, _)| begins(&prompt, at)));
        found.map(|words| format!("it says `{words}`"))
    }

    fn script(&self, row: &Row) -> Option<String> {
        if self.scripts.is_empty() {
            return None;
        }
        let (mut letters, mut wanted) = (0_usize, 0_usize);
        for letter in row.prompt.chars().filter(|c| c.is_alphabetic()) {
            letters += 1;
            wanted += usize::from(self.scripts.iter().any(|script| script.has(letter)));
        }
        let share = wanted as f64 / letters.max(1) as f64;
        // A text of numbers alone is of every script.
        (letters > 0 && share < self.script_share)
            .then(|| format!("{share:.2} of its letters: {}", clipped(&row.prompt)))
    }

    fn image(&self, row: &Row) -> Option<String> {
        if !self.images {
            return None;
        }
        row.images.iter().find_map(|source| {
            let name = source.name();
            match image::decode(source) {
                Err(error) => Some(format!("`{name}`: {error}")),
                Ok(image) if image.width * image.height > self.most_pixels => {
                    Some(format!("`{name}` is {} × {} pixels", image.width, image.height))
                }
                Ok(_) => None,
            }
        })
    }
}

/// Does a sentence, or a part of one, begin at this byte? `Then show that …`, but not `the theorem does not show that …`.
fn begins(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    before.ends_with(|c: char| !c.is_alphanumeric())
        || ["", "then", "and", "to", "please", "hence", "or"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs;

    fn rules() -> Rules<'static> {
        Rules {
            least_prompt: 1,
            most_prompt: 100,
            proofs: true,
            answer: None,
            scripts: Vec::new(),
            script_share: 0.8,
            images: true,
            most_pixels: 100,
        }
    }

    fn row(prompt: &str) -> Row {
        Row { id: "r".into(), prompt: prompt.into(), ..Row::default() }
    }

    fn broken(rules: &Rules<'_>, row: &Row) -> Option<&'static str> {
        rules.broken(row).map(|broken| broken.rule)
    }

    #[test]
    fn prompts_are_measured_in_characters_without_the_blanks_around() {
        let rules = Rules { least_prompt: 3, most_prompt: 5, ..rules() };
        let of = |prompt: &str| broken(&rules, &row(prompt));
        assert_eq!(
            [of("ab"), of(" abc "), of("äöüßé"), of("abcdef"), of("")],
            [Some("prompt"), None, None, Some("prompt"), Some("prompt")]
        );
        assert_eq!(rules.broken(&row("ab")).unwrap().evidence, "2 characters");
    }

    #[test]
    fn proofs_are_asked_for_where_a_sentence_begins() {
        let of = |prompt: &str| broken(&rules(), &row(prompt));
        for prompt in
            ["Prove that 2 > 1.", "Let x = 2. Show that x > 1", "Find x, and then prove the claim.", "证明 x > 1"]
        {
            assert_eq!(of(prompt), Some("proof"), "{prompt}");
        }
        for prompt in ["What does the graph show that others do not?", "How much does he improve the time?"] {
            assert_eq!(of(prompt), None, "{prompt}");
        }
        let answered = Row { answer: Some("Proof".into()), ..row("x?") };
        assert_eq!(broken(&rules(), &answered), Some("proof"));
        assert_eq!(broken(&Rules { proofs: false, ..rules() }, &answered), None);
    }

    #[test]
    fn scripts_are_shares_of_letters() {
        let rules = Rules { scripts: vec![Script::Latin, Script::Greek], ..rules() };
        let of = |prompt: &str| broken(&rules, &row(prompt));
        assert_eq!(of("Où est l'angle α ?"), None);
        assert_eq!(of("2 + 3 = ?"), None, "no letters");
        assert_eq!(of("三角形ABC的面积是多少"), Some("script"));
        assert_eq!(of("Чему равен x?"), Some("script"));
        let chinese = Rules { scripts: vec![Script::Han], script_share: 0.5, ..self::rules() };
        assert_eq!(broken(&chinese, &row("三角形ABC的面积是多少")), None);
    }

    #[test]
    fn the_judge_of_answers_is_asked_in_its_turn() {
        let judge = |row: &Row| row.answer.as_ref().map(drop).ok_or_else(|| "has no answer".to_owned());
        let rules = Rules { answer: Some(&judge), ..rules() };
        let found = rules.broken(&row("x?")).unwrap();
        assert_eq!((found.rule, found.evidence.as_str()), ("answer", "has no answer"));
        assert_eq!(broken(&rules, &row("Prove that x.")), Some("proof"), "the first rule counts");
        assert_eq!(broken(&rules, &Row { answer: Some("1".into()), ..row("x?") }), None);
    }

    #[test]
    fn images_must_decode_and_fit() {
        let dir = tempfile::tempdir().unwrap();
        let picture = |width: usize| crate::resize::Rgb { width, height: 10, pixels: vec![7; 30 * width] };
        let image = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            Row { images: vec![path.into()], ..row("x?") }
        };
        let whole = image::encode_png(&picture(10));
        assert_eq!(broken(&rules(), &image("a.png", &whole)), None);
        assert_eq!(broken(&rules(), &image("b.png", &whole[..whole.len() / 2])), Some("image"));
        assert_eq!(broken(&rules(), &image("c.png", &image::encode_png(&picture(11)))), Some("image"));
        assert_eq!(broken(&Rules { images: false, ..rules() }, &image("d.png", b"no image")), None);
    }
}
