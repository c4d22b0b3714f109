//! Columns, sizes and ages as a terminal shows them.

use crate::paint::{Paint, Tint};

/// Rows of cells → lines with aligned columns; the first row is the head, `right` are columns that end below each other.
pub fn table(rows: &[Vec<String>], right: &[usize], paint: Paint) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let length = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| length(row, column)).max().unwrap_or_default()).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cell = |(column, width): (usize, &usize)| {
            let cell = row.get(column).map_or("", String::as_str);
            let pad = " ".repeat(width - length(row, column));
            if right.contains(&column) { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
        };
        let line = widths.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        text += &if index == 0 { paint.out_tint(Tint::Bold, line) } else { line.to_owned() };
        text.push('\n');
    }
    text
}

/// `512 B`, `1.2 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `42 s`, `5 min`, `3 h`, `12 d`.
pub fn age(nanoseconds: i64) -> String {
    let seconds = (nanoseconds / 1_000_000_000).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!([0, 1023, 1024, 1_300_000].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.2 MiB"]);
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(bytes(1_048_575), "1.0 MiB");
        let second = 1_000_000_000;
        assert_eq!([-1, 59, 300, 7300, 200_000].map(|s| age(s * second)), ["0 s", "59 s", "5 min", "2 h", "2 d"]);
    }
}
