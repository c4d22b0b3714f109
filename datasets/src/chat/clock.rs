//! Seconds → dates as `strftime` writes them, in UTC and in English. Knows no clock.

/// 26 July 2024, the day that Llama's templates name where there is no clock.
pub const NOW: i64 = 1_721_952_000;

const DAY: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Writes a time; directives that are not known stay as they are, as in C.
pub fn strftime(format: &str, seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let weekday = WEEKDAYS[(days + 4).rem_euclid(7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        // GNU's `%-d` leaves out the leading zero.
        let (bare, directive) = after.strip_prefix('-').map_or((false, after), |after| (true, after));
        let two = |number: i64| if bare { number.to_string() } else { format!("{number:02}") };
        let written = match directive.chars().next() {
            Some('Y') => year.to_string(),
            Some('y') => two(year.rem_euclid(100)),
            Some('m') => two(month),
            Some('B') => month_name.into(),
            Some('b' | 'h') => month_name[..3].into(),
            Some('d') => two(day),
            Some('e') => format!("{day:2}"),
            Some('j') => format!("{:03}", days - days_to(year, 1, 1) + 1),
            Some('A') => weekday.into(),
            Some('a') => weekday[..3].into(),
            Some('H') => two(hour),
            Some('I') => two(half),
            Some('M') => two(minute),
            Some('S') => two(second),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.into(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".into(),
            _ => {
                out.push('%');
                rest = after;
                continue;
            }
        };
        out.push_str(&written);
        rest = &directive[1..];
    }
    out.push_str(rest);
    out
}

/// Days from 1 January 1970 to a date of the Gregorian calendar (years start in March, so that leap days come last).
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day that lie so many days after 1 January 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(strftime("%d %b %Y, %A", NOW), "26 Jul 2024, Friday");
        assert_eq!(strftime("%F %T %j %a %p %I", 951_782_399), "2000-02-28 23:59:59 059 Mon PM 11");
        assert_eq!(strftime("%-d.%-m.%y %e", 951_782_400 + DAY), "1.3.00  1");
        assert_eq!(strftime("%F", 951_782_400), "2000-02-29");
        assert_eq!(strftime("%B 100%% %Q %", -1), "December 100% %Q %");
        for days in [-800_000, -1, 0, 1, 19_000, 60_000] {
            let (year, month, day) = date(days);
            assert_eq!(days_to(year, month, day), days);
        }
    }
}
