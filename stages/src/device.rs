//! A device's name → a device. With the operators of [`crate::fused`] the only place that names a back
//! end; refuses to know what is computed on it.

use curricle_engine::stage::Runtime;

/// Why a device can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a word we know.
    #[error("unknown device `{0}`; use `auto`, `cpu`, `cuda` or `cuda:N`")]
    Unknown(String),
    /// This build holds no back end at all.
    #[error("this build of curricle has no compute back end; build with the default features, or `--features cuda`")]
    NoCompute,
    /// The back end was left out of this build.
    #[error(
        "device `{device}` needs a build with the feature `{feature}`: `cargo build --release --features {feature}`"
    )]
    NotBuilt {
        /// What was asked for.
        device: String,
        /// What the build lacks.
        feature: &'static str,
    },
    /// No NVIDIA driver on this machine.
    #[error("device `{0}` needs an NVIDIA driver, and `libcuda.so.1` can't be loaded")]
    NoDriver(String),
    /// A driver, but not that GPU.
    #[error("device `{device}` does not exist: this machine shows {count} GPU(s), numbered from 0")]
    NoSuchGpu {
        /// What was asked for.
        device: String,
        /// How many there are.
        count: usize,
    },
}

/// What a device's name means, before asking whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Auto,
    Cpu,
    Cuda(usize),
}

fn parse(name: &str) -> Result<Wanted, DeviceError> {
    match name {
        "auto" => Ok(Wanted::Auto),
        "cpu" => Ok(Wanted::Cpu),
        "cuda" => Ok(Wanted::Cuda(0)),
        _ => name
            .strip_prefix("cuda:")
            .filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|index| index.parse().ok())
            .map(Wanted::Cuda)
            .ok_or_else(|| DeviceError::Unknown(name.to_owned())),
    }
}

/// Says whether a stage with these settings could start here; the text says what is missing.
pub fn available(runtime: &Runtime) -> Result<(), String> {
    let wanted = parse(&runtime.device).map_err(|error| error.to_string())?;
    check(wanted, &runtime.device).map_err(|error| error.to_string())
}

/// Would a stage with these settings compute on a GPU? `auto` does where this build and this machine have one.
pub fn on_gpu(runtime: &Runtime) -> bool {
    match parse(&runtime.device) {
        Ok(Wanted::Cuda(_)) => true,
        Ok(Wanted::Auto) => check(Wanted::Cuda(0), &runtime.device).is_ok(),
        Ok(Wanted::Cpu) | Err(_) => false,
    }
}

#[cfg(not(feature = "compute"))]
fn check(_wanted: Wanted, _name: &str) -> Result<(), DeviceError> {
    Err(DeviceError::NoCompute)
}

#[cfg(feature = "compute")]
use with_burn::check;
#[cfg(feature = "compute")]
pub use with_burn::{on_cpu, resolve};

#[cfg(feature = "compute")]
mod with_burn {
    use burn::tensor::Device;

    use super::{DeviceError, Wanted, parse};

    /// The device that a name stands for: `auto` is the first GPU where this build and this machine have one, else the CPU.
    ///
    /// # Errors
    ///
    /// Says what is missing; never falls back from a device that was asked for by name.
    pub fn resolve(name: &str) -> Result<Device, DeviceError> {
        let wanted = parse(name)?;
        check(wanted, name)?;
        match wanted {
            #[cfg(feature = "cuda")]
            Wanted::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(feature = "cuda")]
            Wanted::Auto if gpu(0, name).is_ok() => Ok(Device::cuda(0)),
            _ => Ok(Device::flex()),
        }
    }

    /// Is this a device whose work we split over threads ourselves?
    pub fn on_cpu(device: &Device) -> bool {
        device.clone().inner() == Device::flex()
    }

    pub(super) fn check(wanted: Wanted, name: &str) -> Result<(), DeviceError> {
        match wanted {
            Wanted::Cuda(index) => gpu(index, name),
            Wanted::Cpu | Wanted::Auto => Ok(()),
        }
    }

    #[cfg(not(feature = "cuda"))]
    fn gpu(_index: usize, name: &str) -> Result<(), DeviceError> {
        Err(DeviceError::NotBuilt { device: name.to_owned(), feature: "cuda" })
    }

    /// Asks the driver itself, because the back end panics where there is none.
    #[cfg(feature = "cuda")]
    fn gpu(index: usize, name: &str) -> Result<(), DeviceError> {
        let count = super::driver::device_count().ok_or_else(|| DeviceError::NoDriver(name.to_owned()))?;
        if index < count { Ok(()) } else { Err(DeviceError::NoSuchGpu { device: name.to_owned(), count }) }
    }
}

/// The NVIDIA driver's own count of GPUs, asked without linking to it.
#[cfg(feature = "cuda")]
mod driver {
    use std::ffi::c_int;

    type Init = unsafe extern "C" fn(flags: u32) -> c_int;
    type Count = unsafe extern "C" fn(count: *mut c_int) -> c_int;

    /// `None` where the driver can't be loaded or does not start.
    pub(super) fn device_count() -> Option<usize> {
        // SAFETY: `libcuda.so.1` is the driver's stable C interface; the two signatures are those of `cuda.h`, and `count`
        // outlives the call that writes it.
        unsafe {
            let driver = libloading::Library::new("libcuda.so.1").ok()?;
            let init = driver.get::<Init>(b"cuInit\0").ok()?;
            let device_count = driver.get::<Count>(b"cuDeviceGetCount\0").ok()?;
            if init(0) != 0 {
                return Some(0);
            }
            let mut count: c_int = 0;
            (device_count(&raw mut count) == 0).then(|| usize::try_from(count).unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something() {
        assert_eq!(parse("auto"), Ok(Wanted::Auto));
        assert_eq!(parse("cpu"), Ok(Wanted::Cpu));
        assert_eq!(parse("cuda"), Ok(Wanted::Cuda(0)));
        assert_eq!(parse("cuda:3"), Ok(Wanted::Cuda(3)));
    }

    #[test]
    fn names_that_mean_nothing() {
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "CPU", "cuda:x"] {
            assert_eq!(parse(name), Err(DeviceError::Unknown(name.to_owned())), "{name}");
        }
    }

    #[cfg(not(feature = "compute"))]
    #[test]
    fn a_build_without_a_back_end_says_so() {
        assert!(available(&Runtime::default()).unwrap_err().contains("no compute back end"));
    }

    #[cfg(feature = "compute")]
    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(available(&Runtime { device: "cpu".into(), ..Runtime::default() }), Ok(()));
        assert_eq!(available(&Runtime::default()), Ok(()));
        assert!(resolve("cpu").is_ok());
    }

    #[cfg(all(feature = "compute", not(feature = "cuda")))]
    #[test]
    fn cuda_is_refused_where_it_was_not_built() {
        let error = resolve("cuda:1").unwrap_err();
        assert_eq!(error, DeviceError::NotBuilt { device: "cuda:1".into(), feature: "cuda" });
    }
}
