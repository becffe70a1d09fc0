//! What we do: requests in, files at their destination, tokens answered.

pub mod settings;
