//! Compiled kernels and tuning results of the CUDA back end → a folder of the user's cache, so that a second run starts warm.
//!
//! `CubeCL` would keep tuning results below the nearest `target/`, and no kernels at all. Both are told apart by its version;
//! tuning results by the number of the GPU, not by its kind; kernels by the architecture, the driver's PTX version and this
//! very binary. Refuses to know devices.

use std::ffi::OsString;
use std::path::PathBuf;

/// Says where to keep them, before the first device asks.
///
/// A `cubecl.toml`, or the section `cubecl` of a `burn.toml`, at or above the working folder that names a place is left
/// alone; `CubeCL`'s variables (`CUBECL_ENVIRONMENT`, `CUBECL_AUTOTUNE_CACHE`, …) hold either way.
#[cfg(feature = "cuda")]
pub fn keep() {
    use burn::cubecl::config::cache::CacheConfig;
    use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        let unsaid = matches!(config.environment.path, CacheConfig::Target);
        if let Some(folder) = folder(|name| std::env::var_os(name)).filter(|_| unsaid) {
            config.environment.path = CacheConfig::Directory(folder);
            config.compilation.cache = true;
        }
        // Where somebody has set another before, it is theirs.
        let _ = CubeClRuntimeConfig::try_set(config);
    });
}

/// `$XDG_CACHE_HOME/curricle/cubecl`, or the same below `~/.cache`; none where neither is an absolute path.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("curricle").join("cubecl"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::folder;

    #[test]
    fn the_users_cache_is_where_the_variables_say() {
        let of = |cache: Option<&str>, home: Option<&str>| {
            folder(|name| if name == "HOME" { home } else { cache }.map(Into::into))
        };
        assert_eq!(of(Some("/c"), Some("/h")).as_deref(), Some(Path::new("/c/curricle/cubecl")));
        assert_eq!(of(Some(""), Some("/h")).as_deref(), Some(Path::new("/h/.cache/curricle/cubecl")));
        assert_eq!(of(None, Some("/h")).as_deref(), Some(Path::new("/h/.cache/curricle/cubecl")));
        assert_eq!(of(Some("c"), None), None);
    }
}
