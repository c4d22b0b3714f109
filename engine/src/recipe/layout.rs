//! Names of the layouts that data sets come in, and the columns that each names otherwise than rows do. How they are read is
//! the reader's business.

/// A layout of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What `layout = "…"` says.
    pub name: &'static str,
    /// Fields that stand in other columns; the first that a row has counts.
    pub columns: &'static [(&'static str, &'static [&'static str])],
}

const CHOICE: &[(&str, &[&str])] = &[
    ("prompt", &["question"]),
    ("choices", &["choices", "options"]),
    ("images", &["images", "image"]),
    ("answer", &["answer", "answerKey"]),
];

/// Every layout that the reader of rows knows.
pub const LAYOUTS: [Layout; 9] = [
    Layout { name: "easyr1", columns: &[("prompt", &["problem"]), ("images", &["images", "image"])] },
    Layout { name: "sharegpt", columns: &[("messages", &["conversations"]), ("images", &["images", "image"])] },
    Layout { name: "messages", columns: &[] },
    Layout { name: "alpaca", columns: &[("prompt", &["instruction"]), ("response", &["output"])] },
    Layout { name: "gsm8k", columns: &[("prompt", &["question"])] },
    Layout { name: "choice-letter", columns: CHOICE },
    Layout { name: "choice-index", columns: CHOICE },
    Layout { name: "choice-number", columns: CHOICE },
    Layout { name: "choice-text", columns: CHOICE },
];

impl Layout {
    /// The layout of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.name == name)
    }

    /// Columns of a field that are not named as the field is.
    pub fn columns(&self, field: &str) -> &'static [&'static str] {
        self.columns.iter().find(|(own, _)| *own == field).map_or(&[], |(_, columns)| columns)
    }

    /// Text between reasoning and answer.
    pub(crate) fn marker(&self) -> Option<&'static str> {
        (self.name == "gsm8k").then_some("####")
    }

    /// Are answers letters of options?
    pub(crate) fn is_choice(&self) -> bool {
        self.name.starts_with("choice-")
    }
}
