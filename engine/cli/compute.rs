//! The verbs that need a back end: themselves where this build has one, else the sentence that says what is missing.

#[cfg(any(feature = "flex", feature = "cuda"))]
pub use crate::generate::run as generate;
#[cfg(not(any(feature = "flex", feature = "cuda")))]
pub use without::generate;

#[cfg(not(any(feature = "flex", feature = "cuda")))]
mod without {
    use curricle_stages::device::DeviceError;

    use crate::args::GenerateArgs;
    use crate::exit::{Exit, Failure};
    use crate::paint::Paint;

    pub fn generate(_args: &GenerateArgs, _paint: Paint) -> Result<Exit, Failure> {
        Err(missing())
    }

    fn missing() -> Failure {
        Failure::new(Exit::Usage, DeviceError::NoCompute.to_string())
    }
}
