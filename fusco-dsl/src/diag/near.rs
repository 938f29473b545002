//! The name that was probably meant.

/// The candidate within a third of the name's length (one edit at least), if any.
///
/// Letters that are swapped count as one edit; capitals count as none.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let folded = |c: &&&str| c.eq_ignore_ascii_case(name);
    if let Some(same) = candidates.iter().find(folded) {
        return Some(same);
    }
    let length = name.chars().count();
    let limit = length.div_ceil(3).max(1);
    // Among equals, the one of the same length: letters are swapped more often than lost.
    let best =
        candidates.iter().map(|c| (distance(name, c), c.len().abs_diff(name.len()), *c)).min()?;
    // A name with no letter in common is another name.
    let shares = best.0 < length.max(best.2.chars().count());
    (shares && best.0 <= limit).then_some(best.2)
}

/// What to add to `no such name`: the nearest, or else all that are known.
pub fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known are {}", known.join(", ")),
    }
}

/// Levenshtein distance with adjacent swaps.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitute = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitute.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
