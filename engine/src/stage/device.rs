//! A device's name → what it means. Refuses to know whether it is there.

/// What a stage is to compute on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceName {
    /// `auto`: the first GPU where there is one, else the CPU.
    Auto,
    /// `cpu`, and `cpu*2`: the CPU in so many shares, each as if it were a device.
    Cpu(usize),
    /// `cuda` (the first), `cuda:1`, `cuda:0,1`: GPUs by their numbers, each once.
    Cuda(Vec<usize>),
    /// `cuda:all`.
    EveryCuda,
}

impl DeviceName {
    /// What a name means; none where it means nothing.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu(1)),
            "cuda" => Some(Self::Cuda(vec![0])),
            "cuda:all" => Some(Self::EveryCuda),
            _ => match name.strip_prefix("cpu*") {
                Some(shares) => number(shares).filter(|shares| *shares > 0).map(Self::Cpu),
                None => list(name.strip_prefix("cuda:")?).map(Self::Cuda),
            },
        }
    }
}

/// Digits only: `parse` alone would take a sign too.
fn number(text: &str) -> Option<usize> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn list(text: &str) -> Option<Vec<usize>> {
    let numbers = text.split(',').map(number).collect::<Option<Vec<_>>>()?;
    let twice = numbers.iter().enumerate().any(|(at, number)| numbers[..at].contains(number));
    if twice { None } else { Some(numbers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something() {
        for (name, means) in [
            ("auto", DeviceName::Auto),
            ("cpu", DeviceName::Cpu(1)),
            ("cpu*3", DeviceName::Cpu(3)),
            ("cuda", DeviceName::Cuda(vec![0])),
            ("cuda:3", DeviceName::Cuda(vec![3])),
            ("cuda:2,0", DeviceName::Cuda(vec![2, 0])),
            ("cuda:all", DeviceName::EveryCuda),
        ] {
            assert_eq!(DeviceName::parse(name), Some(means), "{name}");
        }
    }

    #[test]
    fn names_that_mean_nothing() {
        for name in
            ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "CPU", "cuda:x", "cuda:0,", "cuda:1,1", "cpu*", "cpu*0", "cpu:0"]
        {
            assert_eq!(DeviceName::parse(name), None, "{name}");
        }
    }
}
