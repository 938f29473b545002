//! Indented text.

#[derive(Default)]
pub(super) struct Out {
    text: String,
    depth: usize,
}

impl Out {
    pub fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n("    ", self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// `head {`, the body, `}`.
    pub fn block(&mut self, head: &str, body: impl FnOnce(&mut Out)) {
        self.block_with(head, "}", body);
    }

    pub fn block_with(&mut self, head: &str, tail: &str, body: impl FnOnce(&mut Out)) {
        self.line(&if head.is_empty() { "{".to_string() } else { format!("{head} {{") });
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line(tail);
    }

    pub fn indented(&mut self, body: impl FnOnce(&mut Out)) {
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    /// An empty text as deep as this one.
    pub fn beside(&self) -> Out {
        Out { text: String::new(), depth: self.depth }
    }

    /// Whether the word occurs outside of comments.
    pub fn mentions(&self, word: &str) -> bool {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let code = |line: &str| line.find("//").unwrap_or(line.len());
        let mut lines = self.text.lines().map(|line| &line[..code(line)]);
        lines.any(|line| line.split(|c| !inside(c)).any(|w| w == word))
    }

    pub fn append(&mut self, other: Out) {
        self.text.push_str(&other.text);
    }

    pub fn finish(self) -> String {
        self.text
    }
}
