//! HTTP as our adapters of platforms use it: the [`transport::Transport`] seam, the network behind it, and what
//! answers have in common.

pub mod answers;
pub mod network;
pub mod transport;
