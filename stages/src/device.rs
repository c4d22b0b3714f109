//! A device's name → a device, or several. With the operators of [`crate::fused`] the only place that names a back end;
//! refuses to know what is computed on it.

use curricle_engine::stage::{DeviceName, Runtime};

/// Why a device can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a word we know.
    #[error("unknown device `{0}`; use `auto`, `cpu`, `cuda`, `cuda:N`, `cuda:0,1` (each once), `cuda:all` or `cpu*N`")]
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
    /// No NCCL on this machine.
    #[error(
        "device `{0}` is several GPUs, which need NCCL, and `libnccl.so` can't be loaded: install its development package, or link that name to `libnccl.so.2`"
    )]
    NoNccl(String),
    /// A driver, but not that GPU.
    #[error("device `{device}` does not exist: this machine shows {count} GPU(s), numbered from 0")]
    NoSuchGpu {
        /// What was asked for.
        device: String,
        /// How many there are.
        count: usize,
    },
}

fn parse(name: &str) -> Result<DeviceName, DeviceError> {
    DeviceName::parse(name).ok_or_else(|| DeviceError::Unknown(name.to_owned()))
}

/// Says whether a stage with these settings could start here; the text says what is missing.
pub fn available(runtime: &Runtime) -> Result<(), String> {
    let wanted = parse(&runtime.device).map_err(|error| error.to_string())?;
    check(&wanted, &runtime.device).map_err(|error| error.to_string())
}

/// Would a stage with these settings compute on a GPU? `auto` does where this build and this machine have one.
pub fn on_gpu(runtime: &Runtime) -> bool {
    match parse(&runtime.device) {
        Ok(DeviceName::Cuda(_) | DeviceName::EveryCuda) => true,
        Ok(DeviceName::Auto) => check(&DeviceName::Cuda(vec![0]), &runtime.device).is_ok(),
        Ok(DeviceName::Cpu(_)) | Err(_) => false,
    }
}

#[cfg(not(feature = "compute"))]
fn check(_wanted: &DeviceName, _name: &str) -> Result<(), DeviceError> {
    Err(DeviceError::NoCompute)
}

#[cfg(feature = "compute")]
use with_burn::check;
#[cfg(feature = "compute")]
pub use with_burn::{all, host, on_cpu, resolve};

#[cfg(feature = "compute")]
mod with_burn {
    use burn::tensor::Device;

    use super::{DeviceError, DeviceName, parse};

    /// The device that a name stands for, the first where it stands for several: `auto` is the first GPU where this build
    /// and this machine have one, else the CPU.
    ///
    /// # Errors
    ///
    /// Says what is missing; never falls back from a device that was asked for by name.
    pub fn resolve(name: &str) -> Result<Device, DeviceError> {
        all(name).map(|mut devices| devices.swap_remove(0))
    }

    /// The devices that a name stands for, at least one: `cuda:0,1` and `cuda:all` are several GPUs, and `cpu*2` is the CPU
    /// twice, each with its share of the threads, to try on it what several GPUs do.
    ///
    /// # Errors
    ///
    /// As [`resolve`].
    pub fn all(name: &str) -> Result<Vec<Device>, DeviceError> {
        let wanted = parse(name)?;
        check(&wanted, name)?;
        Ok(match wanted {
            #[cfg(feature = "cuda")]
            DeviceName::Cuda(indices) => indices.into_iter().map(cuda).collect(),
            #[cfg(feature = "cuda")]
            DeviceName::EveryCuda => (0..gpus(name)?).map(cuda).collect(),
            #[cfg(feature = "cuda")]
            DeviceName::Auto if gpu(0, name).is_ok() => vec![cuda(0)],
            DeviceName::Cpu(shares) => vec![host(); shares],
            _ => vec![host()],
        })
    }

    /// The CPU.
    pub fn host() -> Device {
        Device::flex()
    }

    #[cfg(feature = "cuda")]
    fn cuda(index: usize) -> Device {
        super::kernels::keep();
        Device::cuda(index)
    }

    /// Is this a device whose work we split over threads ourselves?
    pub fn on_cpu(device: &Device) -> bool {
        device.clone().inner() == host()
    }

    pub(super) fn check(wanted: &DeviceName, name: &str) -> Result<(), DeviceError> {
        match wanted {
            DeviceName::Cuda(indices) => {
                indices.iter().try_for_each(|&index| gpu(index, name))?;
                together(indices.len(), name)
            }
            DeviceName::EveryCuda => {
                gpu(0, name)?;
                gpus(name).and_then(|count| together(count, name))
            }
            DeviceName::Cpu(_) | DeviceName::Auto => Ok(()),
        }
    }

    fn gpu(index: usize, name: &str) -> Result<(), DeviceError> {
        let count = gpus(name)?;
        if index < count { Ok(()) } else { Err(DeviceError::NoSuchGpu { device: name.to_owned(), count }) }
    }

    #[cfg(not(feature = "cuda"))]
    fn gpus(name: &str) -> Result<usize, DeviceError> {
        Err(DeviceError::NotBuilt { device: name.to_owned(), feature: "cuda" })
    }

    /// Asks the driver itself, because the back end panics where there is none.
    #[cfg(feature = "cuda")]
    fn gpus(name: &str) -> Result<usize, DeviceError> {
        super::driver::device_count().ok_or_else(|| DeviceError::NoDriver(name.to_owned()))
    }

    #[cfg(not(feature = "cuda"))]
    fn together(_count: usize, name: &str) -> Result<(), DeviceError> {
        gpus(name).map(drop)
    }

    /// The back end loads NCCL by this name when the first tensor moves between GPUs, and panics where it is not found.
    #[cfg(feature = "cuda")]
    fn together(count: usize, name: &str) -> Result<(), DeviceError> {
        // SAFETY: NCCL's library runs nothing of ours when it is loaded.
        if count < 2 || unsafe { libloading::Library::new("libnccl.so") }.is_ok() {
            return Ok(());
        }
        Err(DeviceError::NoNccl(name.to_owned()))
    }
}

#[cfg(any(test, feature = "cuda"))]
mod kernels;

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
    fn a_name_that_means_nothing_is_told_what_would() {
        let error = available(&Runtime { device: "gpu".into(), ..Runtime::default() }).unwrap_err();
        assert!(error.contains("unknown device `gpu`") && error.contains("cuda:all"), "{error}");
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
        assert_eq!(resolve("cpu").unwrap(), host());
        assert_eq!(all("cpu*2").unwrap(), [host(), host()]);
    }

    #[cfg(all(feature = "compute", not(feature = "cuda")))]
    #[test]
    fn cuda_is_refused_where_it_was_not_built() {
        for device in ["cuda:1", "cuda:0,1", "cuda:all"] {
            assert_eq!(all(device).unwrap_err(), DeviceError::NotBuilt { device: device.into(), feature: "cuda" });
        }
    }
}
