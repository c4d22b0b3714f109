//! A completion → the content of its last `\boxed{…}`. One pass, however many boxes and braces there are.

/// The content of the last `\boxed{…}` whose braces close; `None` if there is none. Of nested boxes it is the inner one.
pub fn boxed(text: &str) -> Option<&str> {
    const MACRO: &str = r"\boxed";
    let bytes = text.as_bytes();
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut found: Option<(usize, usize)> = None;
    let mut box_at = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if text[at..].starts_with(MACRO) => {
                at += MACRO.len();
                let rest = &text[at..];
                let spaces = rest.len() - rest.trim_start().len();
                box_at = rest[spaces..].starts_with('{').then_some(at + spaces);
                at += spaces;
                continue;
            }
            b'{' => open.push((box_at.take() == Some(at)).then_some(at + 1)),
            b'}' => {
                if let Some(Some(start)) = open.pop()
                    && found.is_none_or(|(last, _)| start > last)
                {
                    found = Some((start, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found.map(|(start, end)| text[start..end].trim())
}

/// Position of the brace that closes what was opened just before `text`.
pub(super) fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(i),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_nest_and_the_last_closed_one_counts() {
        assert_eq!(boxed(r"a \boxed{\frac{1}{2}} b"), Some(r"\frac{1}{2}"));
        assert_eq!(boxed(r"\boxed{1} then \boxed{ 2 } and \boxed{3"), Some("2"));
        assert_eq!(boxed(r"\boxed{\boxed{7}}"), Some("7"));
        assert_eq!(boxed(r"\boxed {é}"), Some("é"));
        assert_eq!(boxed(r"} \boxed{4}"), Some("4"));
        assert_eq!(boxed(r"\boxed 5 {6}"), None);
        assert_eq!(boxed("none"), None);
    }
}
