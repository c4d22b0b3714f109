//! The verbs that need a back end: themselves where this build has one, else the sentence that says what is missing.

#[cfg(any(feature = "flex", feature = "cuda"))]
pub use crate::{chat::run as chat, generate::run as generate};
#[cfg(not(any(feature = "flex", feature = "cuda")))]
pub use without::{chat, generate};

#[cfg(not(any(feature = "flex", feature = "cuda")))]
mod without {
    use curricle_stages::device::DeviceError;

    use crate::args::{ChatArgs, GenerateArgs};
    use crate::exit::{Exit, Failure};
    use crate::paint::Paint;

    pub fn generate(_args: &GenerateArgs, _paint: Paint) -> Result<Exit, Failure> {
        Err(missing())
    }

    pub fn chat(_args: &ChatArgs, _paint: Paint) -> Result<Exit, Failure> {
        Err(missing())
    }

    fn missing() -> Failure {
        Failure::new(Exit::Usage, DeviceError::NoCompute.to_string())
    }
}
