//! `"2h30m"` ⇄ seconds.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time such as `"2h30m"`, `"45m"` or `"1d"`: whole numbers of days, hours, minutes and seconds, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$"))]
pub struct WallTime(u64);

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl WallTime {
    /// As long as it is.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl TryFrom<String> for WallTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        read(&text).filter(|seconds| *seconds > 0).map(Self).ok_or_else(|| {
            format!("`{text}` is no time: write whole numbers with units, the largest first, as in \"2h30m\", \"45m\" or \"1d\"")
        })
    }
}

fn read(text: &str) -> Option<u64> {
    let (mut rest, mut seconds) = (text, 0_u64);
    for (unit, worth) in UNITS {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        if rest[end..].starts_with(unit) {
            seconds = seconds.checked_add(rest[..end].parse::<u64>().ok()?.checked_mul(worth)?)?;
            rest = &rest[end + 1..];
        }
        if rest.is_empty() {
            return Some(seconds);
        }
    }
    None
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, worth) in UNITS {
            if rest >= worth {
                write!(f, "{}{unit}", rest / worth)?;
                rest %= worth;
            }
        }
        Ok(())
    }
}

impl From<WallTime> for String {
    fn from(time: WallTime) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_spelling_that_counts() {
        let read = |text: &str| WallTime::try_from(text.to_owned()).map(|time| (time.0, time.to_string()));
        for (text, seconds, spelt) in
            [("2h30m", 9000, "2h30m"), ("150m", 9000, "2h30m"), ("90s", 90, "1m30s"), ("1d", 86_400, "1d")]
        {
            assert_eq!(read(text), Ok((seconds, spelt.to_owned())), "{text}");
        }
        for text in ["", "2", "h", "30m2h", "1.5h", "2h 30m", "0s", "-1h", "99999999999999999999d", "2h3"] {
            assert!(read(text).is_err_and(|said| said.contains("is no time")), "{text}");
        }
    }
}
