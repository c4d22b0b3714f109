//! Seconds since 1970 → the two spellings of a moment that people read. Always UTC; knows no other calendar.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, as `2026-11-21T21:03:04.567Z`.
pub(crate) fn now() -> String {
    let (date, [hour, minute, second], millis) = split(SystemTime::now());
    let [year, month, day] = date;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Now, fit for a folder's name and sorted by time: `20261121T210304Z`.
pub(crate) fn now_for_names() -> String {
    let ([year, month, day], [hour, minute, second], _) = split(SystemTime::now());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn split(moment: SystemTime) -> ([u64; 3], [u64; 3], u32) {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let time = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    (date(seconds / 86_400), time, since.subsec_millis())
}

/// Days since 1970 → year, month, day (Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn date(days: u64) -> [u64; 3] {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    [year_of_era + era * 400 + u64::from(month <= 2), month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_by_hand() {
        assert_eq!(date(0), [1970, 1, 1]);
        assert_eq!(date(58), [1970, 2, 28]);
        assert_eq!(date(59), [1970, 3, 1]);
        assert_eq!(date(11_016), [2000, 2, 29]);
        assert_eq!(date(20_089), [2025, 1, 1]);
    }
}
