//! What a person says and shows, turn by turn → rows to complete. Refuses to know how they are completed.

use std::path::Path;

use curricle_datasets::Row;
use curricle_datasets::image::ImageSource;
use curricle_datasets::rows::{Speaker, Turn};

/// Where the next image stands in a turn's text.
const IMAGE: &str = "<image>";

/// Turns so far, and images that wait for the next one.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    system: Option<String>,
    turns: Vec<Turn>,
    images: Vec<ImageSource>,
    /// How many of the images wait.
    waiting: usize,
}

impl Conversation {
    /// Begins with rules for the model, or with those of its chat template.
    pub fn new(system: Option<String>) -> Self {
        Self { system, ..Self::default() }
    }

    /// Shows an image with the next question.
    pub fn show(&mut self, image: &Path) {
        self.images.push(image.into());
        self.waiting += 1;
    }

    /// A question, after all that was said before.
    pub fn ask(&mut self, text: &str) -> Row {
        let prompt = format!("{}{text}", IMAGE.repeat(self.waiting));
        let row = Row {
            id: format!("turn {}", self.turns.len() / 2 + 1),
            prompt: prompt.clone(),
            history: self.turns.clone(),
            system: self.system.clone(),
            images: self.images.clone(),
            ..Row::default()
        };
        self.turns.push(Turn { role: Speaker::User, content: prompt });
        row
    }

    /// Keeps the model's answer to the last question.
    pub fn answered(&mut self, text: String) {
        self.waiting = 0;
        self.turns.push(Turn { role: Speaker::Assistant, content: text });
    }

    /// Forgets the last question, which could not be answered, and its images.
    pub fn take_back(&mut self) {
        self.turns.pop();
        self.images.truncate(self.images.len() - self.waiting);
        self.waiting = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stay_where_they_were_shown() {
        let mut talk = Conversation::new(Some("be brief".into()));
        talk.show(Path::new("a.png"));
        assert_eq!(talk.ask("what is it?").prompt, "<image>what is it?");
        talk.answered("a cat".into());
        talk.show(Path::new("broken.png"));
        talk.ask("and this?");
        talk.take_back();
        talk.show(Path::new("b.png"));
        let row = talk.ask("and that?");
        assert_eq!(row.images, ["a.png", "b.png"].map(|name| ImageSource::from(Path::new(name))));
        let said: Vec<_> = row.history.iter().map(|turn| (turn.role.name(), turn.content.as_str())).collect();
        assert_eq!(said, [("user", "<image>what is it?"), ("assistant", "a cat")]);
        assert_eq!((row.system.as_deref(), row.prompt.as_str()), (Some("be brief"), "<image>and that?"));
    }
}
