//! Tables for people: columns aligned, numbers to the right, thousands apart.

/// 12345678 -> `12 345 678`
pub fn thousands(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

/// Bytes in the largest unit that keeps three digits.
pub fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// Three significant digits: 428, 12.3, 0.0456.
pub fn three(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    // Rounding may carry into another digit: 9.996 -> 10.0.
    let digits = |v: f64| (2 - v.abs().log10().floor() as i64).max(0) as usize;
    let rounded: f64 = format!("{value:.*}", digits(value)).parse().unwrap_or(value);
    format!("{value:.*}", digits(if rounded == 0.0 { value } else { rounded }))
}

/// A bar of `share` of `width` cells, in eighths.
pub fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    out.push_str(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]);
    out
}

/// Blanks that fill up `text` to `width`. Formatting by `{:width$}` panics beyond 65,535, and names may be longer.
pub fn blanks(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.chars().count()))
}

/// Rows under a header; every column but the last to the right.
pub fn print(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|c| {
            rows.iter()
                .map(|r| r[c].chars().count())
                .chain([header[c].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| -> String {
        let cells: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(c, cell)| {
                if c + 1 == header.len() {
                    (*cell).to_string()
                } else {
                    format!("{}{cell}", blanks(cell, widths[c]))
                }
            })
            .collect();
        format!("  {}", cells.join("   ")).trim_end().to_string()
    };
    let mut out = vec![line(header.to_vec())];
    out.extend(rows.iter().map(|r| line(r.iter().map(String::as_str).collect())));
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::three;

    #[test]
    fn three_digits_mean_something() {
        for (value, text) in [
            (428.195, "428"),
            (12.345, "12.3"),
            (0.045612, "0.0456"),
            (9.996, "10.0"),
            (0.99996, "1.00"),
            (12345.6, "12346"),
            (0.0, "0"),
        ] {
            assert_eq!(three(value), text);
        }
    }
}
