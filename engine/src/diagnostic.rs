//! Mistakes with a place, a cause and a fix.
